"""Messages and pages read as the golden files say, and cost what the table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from golden_texts import FRAMES, GOLDEN, LANGUAGES, golden, sizes

DOCS = Path(__file__).parents[3] / "docs" / "texts.md"
ROW = re.compile(r"^\| ([a-zA-Z ]+) \| (.* → .*) \|$", re.M)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_golden_texts_are_unchanged(language: str) -> None:
    """Where a change is meant, write the files anew (see golden_texts.py) and read them."""
    assert golden(language) == (GOLDEN / f"{language}.txt").read_text("utf-8")


def test_golden_costs_do_not_rise() -> None:
    rows = {name: cells.split(" | ") for name, cells in ROW.findall(DOCS.read_text("utf-8"))}
    assert set(rows) == set(FRAMES)
    for frame, row in sizes().items():
        pairs = [cell.split(" → ") for cell in rows[frame]]
        assert [after for _, after in pairs] == list(row.values())
        assert all(before in {"–"} or after <= before for before, after in pairs), frame

"""The field's inputs on what must interrupt: corrections, longer and surer, other dangers."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from field import Field, played
from labour import idle

from alerting.cap import read


@pytest.mark.parametrize(
    ("folder", "documents"),
    [
        ("corrected-headline", ("1-alert", "2-update")),
        ("corrected-description", ("1-alert", "2-update")),
        ("surer-and-sooner", ("1-alert", "2-update-observed")),
        ("two-earthquakes", ("1-small", "2-great")),
        ("two-fires", ("1-warehouse", "2-canyon")),
    ],
)
async def test_changed_instruction_is_heard_at_once(
    inputs: Field, tmp_path: Path, folder: str, documents: tuple[str, str]
) -> None:
    await inputs.open(folder)
    texts = [inputs.text(name) for name in documents]
    for n, text in enumerate(texts, 1):
        await inputs.submit(text)
        assert inputs.heard("P-1") == "d" * n
    await played(texts, inputs.folder / "reg.csv", tmp_path)


async def test_extension_is_heard_before_the_old_end(inputs: Field, tmp_path: Path) -> None:
    await inputs.open("extension")
    first, longer = inputs.text("1-alert"), inputs.text("2-update-longer")
    await inputs.submit(first)
    await inputs.submit(longer)
    assert inputs.heard("P-1") == "d"
    notified = read(first.encode()).alerts[0].expires_at
    assert isinstance(notified, datetime)
    await inputs.at(notified - timedelta(minutes=2))
    await idle(inputs.harness)
    assert inputs.heard("P-1") == "dd"
    await played([first, longer], inputs.folder / "reg.csv", tmp_path)

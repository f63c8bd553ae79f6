"""The fictional documents in `data/` and the small edits tests make to them."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"


def flood(*changes: tuple[str, str]) -> bytes:
    """The schema-valid flood alert, with each (old, new) text replaced once; old must be there."""
    text = (DATA / "flood.xml").read_text("utf-8")
    for old, new in changes:
        assert old in text, f"{old!r} is not in flood.xml"
        text = text.replace(old, new, 1)
    return text.encode()

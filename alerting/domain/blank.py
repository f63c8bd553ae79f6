"""Texts that stand for no text."""

from __future__ import annotations

import re

# What programs and people write where they have nothing to say.
_NOTHING = frozenset({"n/a", "n.a", "none", "null", "nil", "nan", "undefined", "not applicable"})
_ONLY_MARKS = re.compile(r"[\s.\-_=*~#–—…]*")


def says_nothing(text: str | None) -> bool:
    """True for an empty text and one that stands for it: `N/A`, `None`, `---`."""
    if not text or _ONLY_MARKS.fullmatch(text):
        return True
    # The longest of them is no longer; a long text is not looked at.
    return len(text) < 40 and text.casefold().strip("()[]. \n\t") in _NOTHING

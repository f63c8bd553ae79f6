"""Placeholder texts that mean "no text"."""

from __future__ import annotations

import re

# What programs and people write when they have nothing to say.
_NOTHING = frozenset({"n/a", "n.a", "none", "null", "nil", "nan", "undefined", "not applicable"})
_ONLY_MARKS = re.compile(r"[\s.\-_=*~#–—…]*")


def says_nothing(text: str | None) -> bool:
    """True for an empty text and for a placeholder such as `N/A`, `None` or `---`."""
    if not text or _ONLY_MARKS.fullmatch(text):
        return True
    # The longest placeholder has this length; longer texts are not examined.
    return len(text) < 40 and text.casefold().strip("()[]. \n\t") in _NOTHING

"""Hazard: which kind of danger an info is about, in any language.

A small closed set of classes, so that alerts of several senders can be compared. Senders' codes
decide first (NWS/SAME), then the words of the event, then those of the headline, then the category.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from alerting.domain.alert import Category, Info

_CODE = re.compile(r"[A-Z]{3}")

#: Scripts from here on are written without spaces.
_UNSPACED = "\u2e80"

#: Classes that follow from a category alone, when nothing else is known.
VAGUE = frozenset({"geo", "weather", "safety", "environment", "other"})

#: Classes that may name one danger seen from two sides.
_KIN = (
    frozenset({"storm", "hurricane", "rain", "hail", "lightning", "weather"}),
    frozenset({"storm", "hurricane", "wind", "tornado", "flood", "marine", "weather", "dust"}),
    frozenset({"flood", "rain"}),
    frozenset({"cold", "wind", "storm", "weather", "avalanche"}),
    frozenset({"heat", "weather", "drought"}),
    frozenset({"fog", "weather"}),
    frozenset({"earthquake", "tsunami", "landslide", "volcano", "geo"}),
    frozenset({"flood", "landslide"}),
    frozenset({"fire", "air-quality", "chemical", "bomb", "environment"}),
    frozenset({"air-raid", "bomb", "police"}),
    frozenset({"rescue", "missing", "safety", "transport"}),
)


def hazard_of(info: Info) -> str:
    """The hazard class of an info; never fails, `other` when nothing is known."""
    for code in info.event_codes:
        found = _coded(code.value.strip())
        if found:
            return found
    return _named(info.event, info.headline or "", info.categories[0] if info.categories else None)


@cache
def classes() -> frozenset[str]:
    """All hazard classes."""
    data = _data()
    return frozenset([*data["codes"], *data["words"], *data["categories"].values(), "other"])


def compatible(one: str, other: str) -> bool:
    """True when two classes may name the same danger."""
    return one == other or any(one in kin and other in kin for kin in _KIN)


@lru_cache(maxsize=4096)
def names_kind(text: str) -> bool:
    """True when a word of a text begins like a word for a kind of danger."""
    text = text.casefold()
    hits = (hit.start() for _, pattern in _patterns() for hit in pattern.finditer(text))
    return any(not at or not text[at - 1].isalnum() for at in hits)


def _coded(value: str) -> str:
    if not _CODE.fullmatch(value):
        return ""
    for hazard, codes in _data()["codes"].items():
        if value in codes:
            return str(hazard)
    return ""


@lru_cache(maxsize=4096)
def _named(event: str, headline: str, category: Category | None) -> str:
    for text in (event, headline):
        found = _spoken(text)
        if found:
            return found
    return str(_data()["categories"].get(category or "", "other"))


def _spoken(text: str) -> str:
    """The class whose word comes first in a text, the longer word when two begin there."""
    text = f" {' '.join(text.casefold().split())} "
    best: tuple[int, int, str] | None = None
    for hazard, pattern in _patterns():
        hit = pattern.search(text)
        if hit:
            rank = (hit.start(), -len(hit[0]), hazard)
            best = rank if best is None or rank < best else best
    return "" if best is None else best[2]


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (hazard, re.compile("|".join(sorted(map(_stem, words), key=len, reverse=True))))
        for hazard, words in _data()["words"].items()
    )


def _stem(word: str) -> str:
    """Short stems only count at the beginning of a word: `ice`, not `police`."""
    short = len(word) <= (5 if word.isascii() else 4) and max(word) < _UNSPACED
    start = r"\b" if short else ""
    return start + re.escape(word.casefold())


@cache
def _data() -> dict[str, Any]:
    text = files("alerting.throttle").joinpath("hazards.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data

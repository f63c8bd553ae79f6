"""Which of the available languages a person reads best (BCP 47 tags, compared leniently)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from alerting.domain.alert import Info

#: Codes that name the same language, or one its readers read as their own.
_ALIASES = {
    "iw": "he",
    "in": "id",
    "ji": "yi",
    "mo": "ro",
    "tl": "fil",
    "cmn": "zh",
    "sp": "es",  # seen in real alerts where es was meant
    "nb": "no",
    "nn": "no",
}

#: Languages that most readers of the key also read, best first. Only well-known pairs: a wrong
#: guess is worse than English.
_NEIGHBOURS = {
    "br": ("fr",),
    "bs": ("hr", "sr"),
    "ca": ("es",),
    "co": ("fr", "it"),
    "da": ("no", "sv"),
    "eu": ("es", "fr"),
    "fo": ("da",),
    "fy": ("nl",),
    "gl": ("es", "pt"),
    "gsw": ("de",),
    "hr": ("bs", "sr"),
    "kl": ("da",),
    "lb": ("de", "fr"),
    "nds": ("de",),
    "no": ("da", "sv"),
    "oc": ("fr",),
    "rm": ("de", "it"),
    "se": ("no", "sv", "fi"),
    "sr": ("bs", "hr"),
    "sv": ("no", "da"),
}

_SHAPE = re.compile(r"[A-Za-z0-9]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}")
_HANT_REGIONS = frozenset({"tw", "hk", "mo"})

# Ranks of a match; lower is better.
_EXACT, _SAME, _NEIGHBOUR, _ENGLISH, _OTHER = range(5)


def primary(tag: str) -> str:
    """The language of a tag without script and region: `nb-NO` → `no`, `zh-Hant-TW` → `zh`."""
    return _subtags(tag)[0]


def well_formed(tag: str) -> bool:
    """True for a tag in the form of BCP 47, which is safe in a header or a page."""
    return _SHAPE.fullmatch(tag) is not None


def best_language(available: Sequence[str], wanted: str) -> str:
    """The tag among `available` that a reader of `wanted` reads best, as it is written there.

    In order: the same tag, the same language (the same script first), a neighbouring language,
    English, the first. Any text serves as a tag; "" only where nothing is available.
    """
    return min(available, key=lambda tag: _rank(tag, wanted), default="")


def best_info(infos: Sequence[tuple[int, Info]], language: str) -> int:
    """The number of the info that a reader of `language` reads best; -1 when there is none.

    Args:
        infos: Pairs (number, info) to choose from. Of equally readable infos the most severe one
            that is not over wins, so that a warning is never hidden by the end of another; then the
            first.
    """
    best = min(
        infos,
        key=lambda pair: (
            _rank(pair[1].language, language),
            pair[1].ends_danger,
            pair[1].severity.rank,
        ),
        default=None,
    )
    return -1 if best is None else best[0]


@lru_cache(maxsize=4096)
def _rank(tag: str, wanted: str) -> tuple[int, int]:
    have, want = _subtags(tag), _subtags(wanted)
    if have == want:
        return _EXACT, 0
    if have[0] == want[0]:
        return _SAME, _mismatch(have, want)
    neighbours = _NEIGHBOURS.get(want[0], ())
    if have[0] in neighbours:
        return _NEIGHBOUR, neighbours.index(have[0])
    return (_ENGLISH, 0) if have[0] == "en" else (_OTHER, 0)


def _mismatch(have: tuple[str, ...], want: tuple[str, ...]) -> int:
    """How far two tags of one language are apart: another script weighs more than a region."""
    if _script(have) != _script(want):
        return 3
    if have[-1] == want[-1]:
        return 0
    # A plain tag (`pt`) means the language as such and is preferred to another region's (`pt-BR`).
    return 1 if len(have) == 1 else 2


def _script(subtags: tuple[str, ...]) -> str:
    for part in subtags[1:]:
        if len(part) == 4 and part.isalpha():
            return part
    if subtags[0] == "zh":
        return "hant" if _HANT_REGIONS & set(subtags[1:]) else "hans"
    return ""


@lru_cache(maxsize=4096)
def _subtags(tag: str) -> tuple[str, ...]:
    """The tag in lower case, cut at its hyphens; never empty."""
    first, *rest = tag.strip().replace("_", "-").lower().split("-")
    # nb and nn stay apart as exact tags but are one language for everything else.
    if first in ("nb", "nn"):
        rest.append(first)
    return (_ALIASES.get(first, first), *rest)

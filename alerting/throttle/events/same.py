"""Same event: whether two alerts that do not refer to one another tell of one danger.

Place, hazard and time weigh more than words, for agencies word things differently and in different
languages. A sender's own alerts are told apart by their words: it has references to say otherwise.
What comes of a match is decided per citizen, so a wrong one can only spare somebody who was told
of something as grave, of the same kind, at the same place and still in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from shapely.geometry.base import BaseGeometry

from alerting.throttle.events.hazard import VAGUE, compatible
from alerting.throttle.events.signature import Signature, blocks, seek, signature
from alerting.throttle.events.text import Pool, agreement, name_alike, share_names

__all__ = [
    "Likeness",
    "Match",
    "Pool",
    "Signature",
    "best_match",
    "blocks",
    "likeness",
    "same_ground",
    "same_place",
    "seek",
    "signature",
]

SURE = 0.85
UNSURE = 0.6

_HAZARD, _AREA, _TIME, _TEXT = 0.35, 0.35, 0.15, 0.15

#: So long after an alert's end its sender's words are still listened to.
_LATE = timedelta(hours=12)

#: Texts of two agencies that share less than this speak of different things, unless it is a danger
#: of which a place has but one at a time.
_LITTLE = 0.2
_ONE_AT_A_TIME = frozenset(
    {
        "air-quality",
        "air-raid",
        "cold",
        "drought",
        "dust",
        "earthquake",
        "fog",
        "heat",
        "nuclear",
        "space",
        "storm",
        "tsunami",
        "volcano",
        "wind",
    }
)

#: One sender's translation follows within this time.
_TOGETHER = timedelta(minutes=30)

Key = TypeVar("Key")


class Match(StrEnum):
    SURE = "sure"
    UNSURE = "unsure"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two alerts are, each part from 0 to 1; text is None where it says nothing."""

    score: float
    hazard: float
    area: float
    time: float
    text: float | None
    verdict: Match
    sentence: str


def likeness(
    new: Signature, old: Signature, pool: Pool, *, sure: float = SURE, unsure: float = UNSURE
) -> Likeness:
    """Compare a new alert with one that was there before."""
    hazard, area, time = _hazard(new, old), _area(new, old), _time(new, old)
    if new.kind != old.kind or not hazard or not area or not time:
        return _judged(0.0, hazard, area or 0.0, time, None, Match.NO)
    pool = pool.of(new.sender) if new.sender == old.sender else pool
    text = _text(new, old, pool)
    if new.sender == old.sender:
        return _own(new, old, pool, (hazard, area, time, text), sure, unsure)
    if text is not None and text < _LITTLE and new.hazards & old.hazards & _ONE_AT_A_TIME:
        text = None
    if text is not None and text < _LITTLE and _share_names(new, old, pool):
        text = _LITTLE
    parts = _HAZARD * hazard + _AREA * area + _TIME * time
    score = parts / (1 - _TEXT) if text is None else parts + _TEXT * text
    verdict = _verdict(score, sure, unsure)
    if verdict is Match.SURE and (hazard < 1 or (text is not None and text < _LITTLE)):
        # Two fires in one street on one day are two fires: words that disagree outweigh the rest.
        verdict = Match.UNSURE
    return _judged(score, hazard, area, time, text, verdict)


def _own(
    new: Signature,
    old: Signature,
    pool: Pool,
    parts: tuple[float, float, float, float | None],
    sure: float,
    unsure: float,
) -> Likeness:
    """Two alerts of one sender: its words decide, else a translation sent along."""
    hazard, area, time, text = parts
    together = abs(new.sent - old.sent) <= _TOGETHER
    if _no_common_language(new, old):
        score = 1.0 if together and time == 1 and area > 0.95 and hazard == 1 else 0.0
    else:
        score = text or 0.0
    verdict = _verdict(score, sure, unsure)
    if verdict is Match.SURE and min(time, hazard) < 1 and not _named_alike(new, old, pool):
        verdict = Match.NO if time < 1 else Match.UNSURE
    return _judged(score, hazard, area, time, text, verdict)


def _no_common_language(new: Signature, old: Signature) -> bool:
    return not {w.language for w in new.wordings} & {w.language for w in old.wordings}


def _verdict(score: float, sure: float, unsure: float) -> Match:
    return Match.SURE if score >= sure else Match.UNSURE if score >= unsure else Match.NO


def same_ground(new: Signature, old: Signature) -> bool:
    """True where two alerts speak of one kind of danger and their shapes or geocodes meet."""
    shapes = new.shape is not None and old.shape is not None and new.shape.intersects(old.shape)
    return bool(_hazard(new, old)) and bool(shapes or new.geocodes & old.geocodes)


def same_place(new: Signature, old: Signature) -> bool:
    """True where they do, or call their areas alike: an area may have been corrected."""
    return bool(_hazard(new, old) and _area(new, old))


def best_match(
    new: Signature,
    candidates: Sequence[tuple[Key, Signature]],
    pool: Pool,
    *,
    sure: float = SURE,
    unsure: float = UNSURE,
) -> tuple[Key, Likeness] | None:
    """The candidate most like a new alert, SURE before UNSURE; None where none is either."""
    best: tuple[Key, Likeness] | None = None
    for key, old in candidates:
        found = likeness(new, old, pool, sure=sure, unsure=unsure)
        if found.verdict is not Match.NO and (best is None or _rank(found) > _rank(best[1])):
            best = key, found
    return best


def _rank(found: Likeness) -> tuple[bool, float]:
    return found.verdict is Match.SURE, found.score


def _hazard(new: Signature, old: Signature) -> float:
    common = new.hazards & old.hazards
    if common - VAGUE or (common and new.events & old.events):
        return 1.0
    return 0.7 if any(compatible(a, b) for a in new.hazards for b in old.hazards) else 0.0


def _area(new: Signature, old: Signature) -> float:
    """How much of the smaller area the two share; names decide where nothing else can."""
    found: list[float] = []
    common = new.geocodes & old.geocodes
    if new.shape is not None and old.shape is not None:
        found.append(_overlap(new.shape, old.shape))
        # Two places in one province share its code; where both have shapes, these tell.
        common &= new.unshaped | old.unshaped
    if new.geocodes and old.geocodes:
        found.append(len(common) / min(len(new.geocodes), len(old.geocodes)))
    if found and max(found) > 0:
        return max(found)
    if new.places & old.places:
        # The same name, though codes or shapes do not meet: often a corrected area.
        return 0.6 if found else 0.9
    return 0.0


def _overlap(one: BaseGeometry, other: BaseGeometry) -> float:
    if not one.intersects(other):
        return 0.0
    smaller = min(one.area, other.area)
    if not smaller:
        return 1.0
    shared = one.intersection(other).area
    if not shared:
        return 0.0
    within, alike = shared / smaller, shared / (one.area + other.area - shared)
    return float(0.7 * within + 0.3 * alike)


def _time(new: Signature, old: Signature) -> float:
    """1 while the earlier one is in force; after that it is another event, unless one sender's
    words say otherwise: reports often come late and in batches."""
    first, second = (new, old) if new.sent < old.sent else (old, new)
    if second.sent < first.until:
        return 1.0
    late = new.sender == old.sender and second.sent < first.until + _LATE
    return 0.5 if late else 0.0


def _text(new: Signature, old: Signature, pool: Pool) -> float | None:
    """The best agreement of any two of their languages."""
    if new.content == old.content:
        return 1.0
    found = [agreement(a, b, pool) for a in new.wordings for b in old.wordings]
    return max((f for f in found if f is not None), default=None)


def _share_names(new: Signature, old: Signature, pool: Pool) -> bool:
    return any(share_names(a, b, pool) for a in new.wordings for b in old.wordings)


def _named_alike(new: Signature, old: Signature, pool: Pool) -> bool:
    return any(name_alike(a, b, pool) for a in new.wordings for b in old.wordings)


def _judged(
    score: float, hazard: float, area: float, time: float, text: float | None, verdict: Match
) -> Likeness:
    words = "cannot be compared" if text is None else f"agree by {text:.0%}"
    sentence = (
        f"Same kind of danger by {hazard:.0%}, shared area {area:.0%}, "
        f"{'at the same time' if time else 'at different times'}; the texts {words}."
    )
    return Likeness(score, hazard, area, time, text, verdict, sentence)

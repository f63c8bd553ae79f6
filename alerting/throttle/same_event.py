"""Same event: whether two alerts that do not refer to one another tell of one danger.

Place, hazard and time weigh more than words, for agencies word things differently and in different
languages. A sender's own alerts are told apart by their words: it has references to say otherwise.
What comes of a match is decided per citizen, so a wrong one can only spare somebody who was told
of something as grave, of the same kind, at the same place and still in force.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

import shapely
from rapidfuzz import fuzz
from shapely.geometry.base import BaseGeometry

from alerting.domain.alert import Alert, Area, NamedValue
from alerting.domain.geometry import circle_shape, ring_shape, union
from alerting.domain.language import primary
from alerting.throttle.canon import content_hash
from alerting.throttle.event_text import Pool, Wording, agreement, name_alike, wording
from alerting.throttle.hazard import VAGUE, compatible, hazard_of

__all__ = [
    "Likeness",
    "Match",
    "Pool",
    "Signature",
    "best_match",
    "blocks",
    "likeness",
    "seek",
    "signature",
]

SURE = 0.85
UNSURE = 0.6

_HAZARD, _AREA, _TIME, _TEXT = 0.35, 0.35, 0.15, 0.15

#: An alert without an end is taken to stand for so long.
_STANDS = timedelta(hours=24)

#: So long after an alert's end its sender's words are still listened to.
_LATE = timedelta(hours=12)

#: One sender's translation follows within this time.
_TOGETHER = timedelta(minutes=10)

#: Shapes are compared with about a hundred metres' detail, and with no more parts than these.
_DETAIL_DEG = 0.001
_MOST_SHAPES = 200

#: Of alerts larger than so many cells of one degree only the coarse cells are told.
_FINE_CELLS = 16
_MOST_CELLS = 400

Key = TypeVar("Key")


class Match(StrEnum):
    SURE = "sure"
    UNSURE = "unsure"
    NO = "no"


@dataclass(frozen=True)
class Signature:
    """What is compared of an alert."""

    sender: str
    kind: tuple[str, str]
    content: bytes
    hazards: frozenset[str]
    geocodes: frozenset[NamedValue]
    places: frozenset[str]
    shape: BaseGeometry | None
    sent: datetime
    until: datetime
    wordings: tuple[Wording, ...]

    @cached_property
    def words(self) -> frozenset[str]:
        """Of all its languages, with the labels of its numbers, for a Pool."""
        return frozenset().union(*(w.words | w.numbers.keys() for w in self.wordings))


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


def signature(alert: Alert) -> Signature:
    """Built once per alert; bounded work however large the alert is."""
    areas = [a for i in alert.infos for a in i.areas]
    ends = [i.expires for i in alert.infos if i.expires is not None]
    return Signature(
        sender=alert.sender,
        kind=(alert.status, alert.scope),
        content=content_hash(alert),
        hazards=frozenset(hazard_of(i) for i in alert.infos),
        geocodes=frozenset(g for a in areas for g in a.geocodes),
        places=frozenset(filter(None, (_plain(a.area_desc) for a in areas))),
        shape=_shape(areas),
        sent=alert.sent,
        until=max(ends, default=alert.sent + _STANDS),
        wordings=tuple(
            wording(
                primary(i.language),
                (i.event, i.headline, i.description),
                (a.area_desc for a in i.areas),
            )
            for i in alert.infos
        ),
    )


def likeness(
    new: Signature, old: Signature, pool: Pool, *, sure: float = SURE, unsure: float = UNSURE
) -> Likeness:
    """Compare a new alert with one that was there before."""
    hazard, area, time = _hazard(new, old), _area(new, old), _time(new, old)
    if new.kind != old.kind or not hazard or not area or not time:
        return _judged(0.0, hazard, area or 0.0, time, None, Match.NO)
    text = _text(new, old, pool)
    if new.sender == old.sender:
        return _own(new, old, pool, (hazard, area, time, text), sure, unsure)
    parts = _HAZARD * hazard + _AREA * area + _TIME * time
    score = parts / (1 - _TEXT) if text is None else parts + _TEXT * text
    verdict = Match.SURE if score >= sure else Match.UNSURE if score >= unsure else Match.NO
    if verdict is Match.SURE and (hazard < 1 or (text is not None and text < _LITTLE)):
        # Two fires in one street on one day are two fires: words that disagree outweigh the rest.
        verdict = Match.UNSURE
    return _judged(score, hazard, area, time, text, verdict)


#: Texts of two agencies that share less than this speak of different things.
_LITTLE = 0.2


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
    if text is None:
        together = abs(new.sent - old.sent) <= _TOGETHER
        text = 1.0 if together and time == 1 and area > 0.95 and hazard == 1 else 0.0
    elif time < 1 and not _named_alike(new, old, pool):
        text = 0.0
    verdict = Match.SURE if text >= sure else Match.UNSURE if text >= unsure else Match.NO
    return _judged(text, hazard, area, time, parts[3], verdict)


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


def blocks(one: Signature) -> set[str]:
    """Where an alert is filed: any two that may be alike meet by `blocks` of one, `seek` of the
    other."""
    fine, coarse = _cells(one.shape)
    return _named(one) | ({f"s{c}" for c in coarse} | fine if fine else {f"l{c}" for c in coarse})


def seek(one: Signature) -> set[str]:
    """Where to look for alerts like this one; small areas need not look at all small neighbours."""
    fine, coarse = _cells(one.shape)
    large = {f"l{c}" for c in coarse}
    return _named(one) | large | (fine or {f"s{c}" for c in coarse})


def _named(one: Signature) -> set[str]:
    return {f"g{g}" for g in one.geocodes} | {f"p{p}" for p in one.places}


def _cells(shape: BaseGeometry | None) -> tuple[set[str], set[str]]:
    """Cells of one degree, none where they are many, and of ten degrees; by the bounds of parts."""
    if shape is None:
        return set(), set()
    fine: set[str] = set()
    coarse: set[str] = set()
    for part in shapely.get_parts(shape):
        fine |= {f"1:{cell}" for cell in _squares(part.bounds, 1)}
        coarse |= {f"10:{cell}" for cell in _squares(part.bounds, 10)}
    return (fine if len(fine) <= _FINE_CELLS else set()), coarse


def _squares(bounds: tuple[float, float, float, float], side: int) -> Iterable[str]:
    west, south, east, north = (math.floor(b / side) for b in bounds)
    cells = [f"{x},{y}" for x in range(west, east + 1) for y in range(south, north + 1)]
    return cells[:_MOST_CELLS]


def _hazard(new: Signature, old: Signature) -> float:
    if (new.hazards & old.hazards) - VAGUE:
        return 1.0
    if new.hazards & old.hazards or any(compatible(a, b) for a in new.hazards for b in old.hazards):
        return 0.7
    return 0.0


def _area(new: Signature, old: Signature) -> float:
    """How much of the smaller area the two share; names decide where nothing else can."""
    found: list[float] = []
    if new.geocodes and old.geocodes:
        common = len(new.geocodes & old.geocodes)
        found.append(common / min(len(new.geocodes), len(old.geocodes)))
    if new.shape is not None and old.shape is not None:
        found.append(_overlap(new.shape, old.shape))
    if found and max(found) > 0:
        return max(found)
    if new.places and old.places:
        if new.places & old.places:
            # The same name, though codes or shapes do not meet: often a corrected area.
            return 0.6 if found else 0.9
        if not found:
            best = max(fuzz.token_set_ratio(a, b) for a in new.places for b in old.places)
            return best / 100 if best >= 90 else 0.0
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


def _shape(areas: Sequence[Area]) -> BaseGeometry | None:
    rings = {p.points: None for a in areas for p in a.polygons}
    circles = {c: None for a in areas for c in a.circles}
    shapes = [ring_shape(points) for points in list(rings)[:_MOST_SHAPES]]
    shapes += [circle_shape(c.lat, c.lon, c.radius_km) for c in list(circles)[:_MOST_SHAPES]]
    if not shapes:
        return None
    whole = union([s.simplify(_DETAIL_DEG) for s in shapes])
    return None if whole.is_empty else whole


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())

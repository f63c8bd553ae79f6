"""Same event: whether two alerts that do not refer to one another are about one danger.

For alerts of two senders this needs proof: one kind of danger, one place and time, and two things
that both say and that distinguish this danger from others, or an incident that both name. What is
likely and not proved is a question. A sender's own alerts are distinguished by their words: it has
references to say otherwise. The effect of a match is decided per citizen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from shapely.geometry.base import BaseGeometry

from alerting.throttle.events import facts
from alerting.throttle.events.signature import Signature, blocks, seek, signature
from alerting.throttle.events.text import Pool, agreement, name_alike
from alerting.throttle.hazard import VAGUE, compatible

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

#: A sender's words are still compared this long after an alert's end.
_LATE = timedelta(hours=12)

#: This many things that two agencies both say prove one danger, when this share of the smaller area
#: is common; with half of that the danger is probably one.
_PROOF = 2
_PROVEN_AREA, _LIKELY_AREA = 0.3, 0.5
_LIKELY = 0.65

#: Weather covers a whole area. Its name and that of the area prove it, for this long.
_WEATHER = frozenset({"storm", "hurricane", "wind", "rain", "cold", "heat", "fog", "dust"})
_SOON = timedelta(hours=1)

#: Two strikes are distinct when two alerts put them further apart than this.
_SUDDEN = frozenset({"earthquake", "air-raid", "bomb"})
_APART = timedelta(minutes=10)

#: One sender's translation follows within this time.
_TOGETHER = timedelta(minutes=30)

Key = TypeVar("Key")


class Match(StrEnum):
    SURE = "sure"
    UNSURE = "unsure"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Likeness:
    """How similar two alerts are, from 0 to 1, and why."""

    score: float
    match: Match
    sentence: str


def likeness(
    new: Signature, old: Signature, pool: Pool, *, sure: float = SURE, unsure: float = UNSURE
) -> Likeness:
    """Compare a new alert with an earlier one."""
    hazard, area, time = _hazard(new, old), _area(new, old), _time(new, old)
    if area is None and new.incidents & old.incidents:
        area = 1.0
    if new.kind != old.kind or not hazard or not area or not time:
        return Likeness(0.0, Match.NO, "Another kind of danger, place or time.")
    own = new.sender == old.sender
    pool = pool.of(new.sender) if own else pool
    score, why = (_own if own else _of_two)(new, old, pool, hazard, area, time)
    match = _match(score, sure, unsure)
    weak = own and min(time, hazard) < 1 and not _named_alike(new, old, pool)
    if match is Match.SURE and weak:
        match = Match.NO if time < 1 else Match.UNSURE
    sentence = (
        f"Same kind of danger by {hazard:.0%}, shared area {area:.0%}, "
        f"{'at the same time' if time == 1 else 'one after the other'}; {why}."
    )
    return Likeness(score, match, sentence)


def _own(
    new: Signature, old: Signature, pool: Pool, hazard: float, area: float, time: float
) -> tuple[float, str]:
    """Two alerts of one sender: its words decide, else a translation sent along."""
    if facts.magnitudes_differ(new.facts, old.facts) or _struck_apart(new, old):
        return 0.0, "magnitude or time differs"
    if new.incidents and old.incidents:
        one = not new.incidents.isdisjoint(old.incidents)
        return float(one), "they name one incident" if one else "they name two incidents"
    if _no_common_language(new, old):
        along = abs(new.sent - old.sent) <= _TOGETHER and time == 1 and area > 0.95 and hazard == 1
        return float(along), "the texts cannot be compared"
    text = _text(new, old, pool) or 0.0
    return text, f"the texts agree by {text:.0%}"


def _of_two(
    new: Signature, old: Signature, pool: Pool, hazard: float, area: float, _time: float
) -> tuple[float, str]:
    """Two alerts of two senders: what both say decides."""
    likely = _LIKELY if area >= _LIKELY_AREA else 0.0
    differ = facts.contradiction(new.facts, old.facts)
    if not differ and _struck_apart(new, old):
        differ = "other times of onset"
    if new.incidents & old.incidents:
        return (likely if differ else 1.0), differ or "both name one incident"
    if differ:
        return 0.0, differ
    places = frozenset(" ".join(new.places | old.places).split())
    both = facts.shared(new.facts, old.facts, pool, places=places)
    ours = facts.own_names(new.facts, old.facts, places=places)
    theirs = facts.own_names(old.facts, new.facts, places=places)
    if ours and theirs:
        if not both and not _no_common_language(new, old):
            return 0.0, "each names what the other does not"
        return likely, "each names what the other does not"
    if new.facts.again != old.facts.again:
        return likely, "only one announces a second"
    if len(both) < _PROOF and new.places & old.places and _one_weather(new, old):
        both += ["one name for it", "one for its area"]
    if len(both) < _PROOF or hazard < 1 or area < _PROVEN_AREA:
        return likely, f"both say {' and '.join(both) or 'nothing'} that identifies it"
    return 1.0, f"both say {', '.join(both)}"


def _one_weather(new: Signature, old: Signature) -> bool:
    """True for weather that two agencies name alike within the hour."""
    alike = new.hazards & old.hazards & _WEATHER and new.events & old.events
    return bool(alike) and abs(new.sent - old.sent) <= _SOON


def _struck_apart(new: Signature, old: Signature) -> bool:
    """True for two earthquakes or salvos reported at different times."""
    if not new.onset or not old.onset or not new.hazards & old.hazards & _SUDDEN:
        return False
    return abs(new.onset - old.onset) > _APART


def _no_common_language(new: Signature, old: Signature) -> bool:
    return not {w.language for w in new.wordings} & {w.language for w in old.wordings}


def _match(score: float, sure: float, unsure: float) -> Match:
    return Match.SURE if score >= sure else Match.UNSURE if score >= unsure else Match.NO


def same_ground(new: Signature, old: Signature) -> bool:
    """True when two alerts are about one kind of danger and their shapes or geocodes meet."""
    shapes = new.shape is not None and old.shape is not None and new.shape.intersects(old.shape)
    return bool(_hazard(new, old)) and bool(shapes or new.geocodes & old.geocodes)


def same_place(new: Signature, old: Signature) -> bool:
    """True when they meet, or name their areas alike: an area may have been corrected."""
    return bool(_hazard(new, old) and _area(new, old))


def best_match(
    new: Signature,
    candidates: Sequence[tuple[Key, Signature]],
    pool: Pool,
    *,
    sure: float = SURE,
    unsure: float = UNSURE,
) -> tuple[Key, Likeness] | None:
    """The candidate most similar to a new alert, SURE before UNSURE; None when none is either."""
    best: tuple[Key, Likeness] | None = None
    for key, old in candidates:
        found = likeness(new, old, pool, sure=sure, unsure=unsure)
        if found.match is not Match.NO and (best is None or _rank(found) > _rank(best[1])):
            best = key, found
    return best


def _rank(found: Likeness) -> tuple[bool, float]:
    return found.match is Match.SURE, found.score


def _hazard(new: Signature, old: Signature) -> float:
    common = new.hazards & old.hazards
    if common - VAGUE or (common and new.events & old.events):
        return 1.0
    return 0.7 if any(compatible(a, b) for a in new.hazards for b in old.hazards) else 0.0


def _area(new: Signature, old: Signature) -> float | None:
    """The share of the smaller area that the two have in common, from 0 to 1.

    By shapes and geocodes; by the names of the areas where these do not meet.

    None when nothing of the two can be compared.
    """
    found: list[float] = []
    common = new.geocodes & old.geocodes
    if new.shape is not None and old.shape is not None:
        found.append(_overlap(new.shape, old.shape))
        # Two places in one province share its code. A code counts only where an area that has it
        # has no shape.
        common &= new.unshaped | old.unshaped
    if {g.name for g in new.geocodes} & {g.name for g in old.geocodes}:
        found.append(len(common) / min(len(new.geocodes), len(old.geocodes)))
    if found and max(found) > 0:
        return max(found)
    if new.places & old.places and (not found or new.sender == old.sender):
        # The same name, though codes or shapes do not meet: often its sender's corrected area.
        return 0.6 if found else 0.9
    return 0.0 if found else None


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
    if any(a.onset and a.onset >= b.until for a, b in ((new, old), (old, new))):
        return 0.0
    first, second = (new, old) if new.sent < old.sent else (old, new)
    if second.sent < first.until:
        return 1.0
    late = new.sender == old.sender and second.sent < first.until + _LATE
    return 0.5 if late else 0.0


def _text(new: Signature, old: Signature, pool: Pool) -> float | None:
    """The best similarity of any two of their languages."""
    found = [agreement(a, b, pool) for a in new.wordings for b in old.wordings]
    return max((f for f in found if f is not None), default=None)


def _named_alike(new: Signature, old: Signature, pool: Pool) -> bool:
    return any(name_alike(a, b, pool) for a in new.wordings for b in old.wordings)

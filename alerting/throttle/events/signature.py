"""Signature: what of an alert is compared with others, computed once.

Bounded work however large the alert is: shapes are simplified, texts and lists of areas cut.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated

import shapely
from pydantic import PlainSerializer, PlainValidator
from shapely.geometry.base import BaseGeometry

from alerting.domain.alert import Alert, Area, Info, NamedValue
from alerting.domain.geometry import circle_shape, grown, ring_shape, union
from alerting.domain.language import primary
from alerting.throttle.events.facts import Facts, facts
from alerting.throttle.events.wording import Wording, wording
from alerting.throttle.hazard import hazard_of, names_kind

Point = tuple[float, float]


def _written(shape: BaseGeometry) -> str:
    text: str = shapely.to_wkb(shape, hex=True)
    return text


def _read(text: str) -> BaseGeometry:
    shape: BaseGeometry = shapely.from_wkb(text)
    return shape


#: Hexadecimal WKB in a stored signature.
Shape = Annotated[BaseGeometry, PlainValidator(_read), PlainSerializer(_written)]

#: An alert without an end is assumed to be in force for this long.
_STANDS = timedelta(hours=24)

#: Shapes are compared with about a hundred metres' detail, and with at most this many parts.
_DETAIL_DEG = 0.001
_MOST_SHAPES = 200
_MOST_POINTS = 600
_RAW_POINTS = 6_000

#: A smaller spot counts with its surroundings: positions are rarely more exact.
_POINT_DEG = 0.01
_POINT_M = 1_000.0

#: Alerts larger than this many cells of one degree are indexed by the coarse cells only.
_FINE_CELLS = 16
_MOST_CELLS = 400

#: The most names an alert is indexed by, and the longest of these; a longer one by its digest.
_MOST_NAMED = 1_000
_LONGEST_NAMED = 200


@dataclass(frozen=True)
class Signature:
    """What is compared of an alert.

    Attributes:
        events: The sender's words for the danger.
        unshaped: The geocodes of areas without any shape.
        shape: In degrees, simplified.
        onset: The earliest it names.
        until: When it ends, a day after `sent` when it does not say.
        incidents: Those it names, without mere kinds of danger.
    """

    sender: str
    kind: tuple[str, str]
    hazards: frozenset[str]
    events: frozenset[str]
    geocodes: frozenset[NamedValue]
    unshaped: frozenset[NamedValue]
    places: frozenset[str]
    shape: Shape | None
    sent: datetime
    onset: datetime | None
    until: datetime
    incidents: frozenset[str]
    facts: Facts
    wordings: tuple[Wording, ...]

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of all its languages, with the labels of its numbers, for a Pool."""
        return frozenset().union(*(w.words | w.numbers.keys() for w in self.wordings))


def signature(alert: Alert) -> Signature:
    """Compute the signature, once per alert; bounded work however large the alert is."""
    areas = [a for i in alert.infos for a in i.areas]
    ends = [i.expires for i in alert.infos if i.expires is not None]
    onsets = [i.onset for i in alert.infos if i.onset is not None]
    hazards = frozenset(hazard_of(i) for i in alert.infos)
    incidents = (_plain(name) for name in alert.incidents)
    return Signature(
        sender=alert.sender,
        kind=(alert.status, alert.scope),
        hazards=hazards,
        events=frozenset(_plain(i.event) for i in alert.infos),
        geocodes=frozenset(g for a in areas for g in a.geocodes),
        unshaped=frozenset(g for a in areas if not _has_shape(a) for g in a.geocodes),
        places=frozenset(filter(None, (_plain(a.area_desc) for a in areas))),
        shape=_shape(areas),
        sent=alert.sent,
        onset=min(onsets, default=None),
        until=max(ends, default=alert.sent + _STANDS),
        incidents=frozenset(
            n for n in incidents if any(c.isdigit() for c in n) or (n and not names_kind(n))
        ),
        facts=facts(((primary(i.language), _said(i)) for i in alert.infos), hazards=hazards),
        wordings=tuple(
            wording(
                primary(i.language),
                (i.event, i.headline, i.description),
                (a.area_desc for a in i.areas),
            )
            for i in alert.infos
        ),
    )


def _said(info: Info) -> str:
    """Its texts, each a sentence, and a magnitude from a parameter."""
    given = [p.value for p in info.parameters if "magnitude" in p.name.casefold()]
    texts = [info.headline, *given, info.event, info.description]
    return " . ".join(t for t in texts if t)


def blocks(one: Signature) -> set[str]:
    """The index keys of an alert: any two that may be similar meet by `blocks` of one and `seek` of
    the other."""
    fine, coarse = _cells(one.shape)
    return _named(one) | ({f"s{c}" for c in coarse} | fine if fine else {f"l{c}" for c in coarse})


def seek(one: Signature) -> set[str]:
    """Where to look for similar alerts; small areas need not look at all small neighbours."""
    fine, coarse = _cells(one.shape)
    large = {f"l{c}" for c in coarse}
    return _named(one) | large | (fine or {f"s{c}" for c in coarse})


def _named(one: Signature) -> set[str]:
    codes = {f"g{g}" for g in one.geocodes}
    named = map(_brief, codes | {f"p{p}" for p in one.places} | {f"i{i}" for i in one.incidents})
    # Alphabetical, so that of two long lists much the same part is kept.
    return set(heapq.nsmallest(_MOST_NAMED, named))


def _brief(name: str) -> str:
    if len(name) <= _LONGEST_NAMED:
        return name
    return f"{name[0]}#{hashlib.sha256(name.encode(errors='replace')).hexdigest()}"


def _cells(shape: BaseGeometry | None) -> tuple[set[str], set[str]]:
    """Cells of one degree, none when there are many, and of ten degrees; by the bounds of parts."""
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


def _has_shape(area: Area) -> bool:
    return bool(area.polygons or area.circles)


def _shape(areas: Sequence[Area]) -> BaseGeometry | None:
    rings = {p.points: None for a in areas for p in a.polygons}
    circles = {c: None for a in areas for c in a.circles}
    kept = list(rings)[:_MOST_SHAPES]
    shapes = [ring_shape(_thinned(points, _RAW_POINTS // len(kept))) for points in kept]
    shapes += [circle_shape(c.lat, c.lon, c.radius_km) for c in list(circles)[:_MOST_SHAPES]]
    if not shapes:
        return None
    detail = _DETAIL_DEG
    whole = union([s.simplify(detail) for s in shapes])
    while shapely.get_num_coordinates(whole) > _MOST_POINTS and detail < 1:
        detail *= 3
        whole = union([whole.simplify(detail)])
    if shapely.get_num_coordinates(whole) > _MOST_POINTS:
        whole = whole.convex_hull
    if whole.is_empty:
        return None
    west, south, east, north = whole.bounds
    return grown(whole, _POINT_M) if max(east - west, north - south) < _POINT_DEG else whole


def _thinned(points: Sequence[Point], most: int) -> Sequence[Point]:
    """A ring with at most about this many points, evenly chosen."""
    step = -(-len(points) // max(16, most))
    return points if step == 1 else (*points[:-1:step], points[0])


def _plain(text: str) -> str:
    """Names in one spelling, whatever their order, case and punctuation."""
    return " ".join(sorted(re.findall(r"\w+", text.casefold())))

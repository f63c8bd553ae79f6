"""Whether a later version of an alert replaces the earlier one for everyone it concerned."""

from __future__ import annotations

from collections.abc import Hashable

from alerting.domain.alert import Alert, Area
from alerting.domain.geocode import named_by
from alerting.domain.geometry import ring_shape, tangled, union

#: Rounding in the fifth decimal, about a metre, does not make a new area.
_ROUNDING_DEG = 1e-5

#: Shapes with more points are not compared: the answer is unknown.
_MOST_POINTS = 20_000


def covers(newer: Alert, older: Alert) -> bool:
    """True when every area of `older` lies in areas of `newer`.

    When shapes would have to be compared with geocodes the answer is unknown, and False: then both
    versions stay in force, each for its own people.
    """
    areas = [a for i in newer.infos for a in i.areas]
    known = {_place(a) for a in areas}
    missing = [a for i in older.infos for a in i.areas if _place(a) not in known]
    if not missing:
        return bool(areas)
    geocodes = [g for a in areas for g in a.geocodes]
    circles = {c for a in areas for c in a.circles}
    if not all(set(a.circles) <= circles for a in missing):
        return False
    if not named_by((g for a in missing for g in a.geocodes), geocodes):
        return False
    polygons = [p for a in missing for p in a.polygons]
    if not polygons:
        return True
    rings = {p.points for a in areas for p in a.polygons}
    ground = [ring_shape(points) for points in rings]
    if sum(map(len, rings)) > _MOST_POINTS or tangled(ground):
        return False
    missed = union([ring_shape(points) for points in {p.points for p in polygons}])
    return bool(union(ground).buffer(_ROUNDING_DEG).covers(missed))


def speaks_for(newer: Alert, older: Alert) -> bool:
    """True when a later version decides for everyone an earlier one concerned.

    An end without an area, or with one that is only a point, covers all.
    """
    return for_same_people(newer, older) and (
        covers(newer, older) or (newer.ends and names_no_area(newer))
    )


def for_same_people(newer: Alert, older: Alert) -> bool:
    """True when a later version is for every group or roster an earlier one was for."""
    return newer.for_public or set(older.addresses) <= set(newer.addresses)


def names_no_area(alert: Alert) -> bool:
    """True when no area of an alert can contain people: there is none, or only points."""
    areas = [a for i in alert.infos for a in i.areas]
    return not any(
        a.geocodes
        or any(c.radius_km > 0 for c in a.circles)
        or any(ring_shape(p.points).area > 0 for p in a.polygons)
        for a in areas
    )


def _place(area: Area) -> Hashable:
    return area.polygons, area.circles, area.geocodes

"""Silences: alerts that a coordinator keeps from interrupting, for a limited time.

No silence ever applies to an Extreme danger or to the end of a danger.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

import numpy as np
from shapely.geometry.base import BaseGeometry

from alerting.domain.alert import Alert, Area, Circle, Info, MsgType, NamedValue, Polygon, Severity
from alerting.domain.geocode import KeyRange, overlap, ranges
from alerting.domain.geometry import distance_km, distance_m_to, ring_shape, union
from alerting.domain.info_selection import numbers
from alerting.errors import BadInput
from alerting.throttle.silence.matcher import Matcher, Op, storable

LONGEST = timedelta(days=7)
_MOST_MATCHERS = 20
_MOST_COMMENT = 500


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence. It applies from `starts_at` until before `ends_at` when all matchers fit.

    Attributes:
        area: When given, it applies to the areas of alerts that touch it, edges included: to all
            citizens of such an area, also those outside the silence's own area.

    Raises:
        BadInput: For one that would mute everything, lasts too long or gives no reason.
    """

    id: UUID
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str
    area: Area | None = None

    def __post_init__(self) -> None:
        if not any(m.narrows for m in self.matchers):
            raise BadInput(
                "This silence would mute every alert below Extreme.",
                remedy="Say at least one thing an alert must say, such as event=Flood.",
            )
        if len(self.matchers) > _MOST_MATCHERS:
            raise BadInput(f"A silence has at most {_MOST_MATCHERS} matchers.")
        for m in self.matchers:
            if m.field == "severity" and m.op is Op.IS and m.value.casefold() == "extreme":
                raise BadInput("Extreme alerts are never silenced.", remedy="Cancel a false one.")
        if self.starts_at.tzinfo is None or self.ends_at.tzinfo is None:
            raise BadInput("A silence's times need an offset.", remedy="Add Z or +01:00.")
        if self.ends_at <= self.starts_at:
            raise BadInput("A silence must end after it starts.")
        if self.ends_at - self.starts_at > LONGEST:
            raise BadInput(
                f"A silence lasts at most {LONGEST.days} days.",
                remedy="Make it anew when it ends, if it is still wanted.",
            )
        comment = self.comment.strip()
        if not comment or len(comment) > _MOST_COMMENT or not storable(comment):
            raise BadInput(
                f"A silence needs a comment of at most {_MOST_COMMENT} characters.",
                remedy="Say why, so that others know when it may end.",
            )
        if self.area and not (self.area.polygons or self.area.circles or self.area.geocodes):
            raise BadInput("The area is empty.", remedy="Leave it out to silence everywhere.")


def silenced_by(
    alert: Alert, info_no: int, area_no: int, silences: Iterable[Silence], now: datetime
) -> Silence | None:
    """The first silence that applies to this info in this area at `now`; None when none does.

    Never one for an info whose severity is Extreme, nor for a Cancel or an info that ends a danger,
    whatever a silence says. Of combined infos each must be silenced.

    Args:
        info_no, area_no: As in a Recipient; -1 for none.
    """
    found = None
    for no in numbers(alert, info_no):
        found = _silenced(alert, alert.infos[no], area_no, silences, now)
        if found is None:
            return None
        # The area is one of the first info.
        area_no = -1
    return found


def _silenced(
    alert: Alert, info: Info, area_no: int, silences: Iterable[Silence], now: datetime
) -> Silence | None:
    if alert.msg_type is MsgType.CANCEL:
        return None
    if info.severity is Severity.EXTREME or alert.ends_in(info):
        return None
    area = info.areas[area_no] if 0 <= area_no < len(info.areas) else None
    for silence in silences:
        if (
            silence.starts_at <= now < silence.ends_at
            and all(m.fits(alert, info, area_no) for m in silence.matchers)
            and (silence.area is None or (area is not None and touch(silence.area, area)))
        ):
            return silence
    return None


def touch(one: Area, other: Area) -> bool:
    """True when two areas share ground or the meaning of their geocodes: a state touches its
    counties.

    Shapes are compared exactly. When one has only geocodes and the other only shapes the answer is
    unknown, and False.
    """
    if overlap(_meant(one.geocodes), _meant(other.geocodes)):
        return True
    here, there = _ground(one.polygons), _ground(other.polygons)
    if here is not None and there is not None and here.intersects(there):
        return True
    return (
        any(_reaches(c, there) for c in one.circles)
        or any(_reaches(c, here) for c in other.circles)
        or any(_meet(a, b) for a in one.circles for b in other.circles)
    )


def _reaches(circle: Circle, ground: BaseGeometry | None) -> bool:
    if ground is None:
        return False
    return distance_m_to(ground, circle.lat, circle.lon) <= circle.radius_km * 1000


def _meet(one: Circle, other: Circle) -> bool:
    apart = distance_km(one.lat, one.lon, np.array([other.lat]), np.array([other.lon]))
    return float(apart[0]) <= one.radius_km + other.radius_km


@lru_cache(maxsize=512)
def _meant(geocodes: tuple[NamedValue, ...]) -> tuple[KeyRange, ...]:
    return tuple(r for code in geocodes for r in ranges(code))


@lru_cache(maxsize=512)
def _ground(polygons: tuple[Polygon, ...]) -> BaseGeometry | None:
    return union(ring_shape(p.points) for p in polygons) if polygons else None

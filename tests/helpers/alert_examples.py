"""Alerts for tests of what decides about whole alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    Polygon,
    Scope,
    Severity,
    Status,
    Urgency,
)

AT = datetime(2026, 11, 1, 6, tzinfo=UTC)


def box(south: float, west: float, north: float, east: float) -> Polygon:
    return Polygon(((south, west), (south, east), (north, east), (north, west), (south, west)))


TOWN = Area("Town", polygons=(box(50, 8, 51, 9),), geocodes=(NamedValue("UGC", "XXC001"),))

FLOOD = Info(
    categories=(Category.MET, Category.GEO),
    event="River Flood",
    urgency=Urgency.EXPECTED,
    severity=Severity.MODERATE,
    certainty=Certainty.LIKELY,
    parameters=(NamedValue("level", "2"), NamedValue("level", "orange")),
    event_codes=(NamedValue("SAME", "FLW"),),
    areas=(TOWN,),
)


def info(**changes: Any) -> Info:
    return replace(FLOOD, **changes)


def alert(*infos: Info, **changes: Any) -> Alert:
    base = Alert(
        "a-1", "weather@example.org", AT, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC, infos=infos
    )
    return replace(base, **changes)

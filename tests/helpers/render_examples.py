"""Alerts the rendering tests share; every name in them is made up."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from alerting.channels.base import Rendering
from alerting.channels.render import render
from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    Scope,
    Severity,
    Status,
    Urgency,
)

SENT = datetime(2026, 11, 3, 12, 0, tzinfo=timezone(timedelta(hours=1)))
LINK = "https://alerts.example.org/a/7c9e6679?lang=en"

INFO = Info(
    categories=(Category.MET,),
    event="Flood",
    urgency=Urgency.IMMEDIATE,
    severity=Severity.EXTREME,
    certainty=Certainty.OBSERVED,
    language="en-GB",
    onset=SENT + timedelta(hours=1),
    expires=SENT + timedelta(hours=6),
    sender_name="Example River Agency",
    headline="Flooding is imminent",
    description="The Example river has left its banks.",
    instruction="Go to higher ground now.",
    contact="+44 7700 900123",
    web="https://flood.example.org/now",
    areas=(Area("Exampleton centre"), Area("Exampleton marshes")),
)
ALERT = Alert(
    "id-1", "agency.example", SENT, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC, infos=(INFO,)
)


def alert(info: dict[str, Any] | None = None, **changes: Any) -> Alert:
    return replace(ALERT, infos=(replace(INFO, **(info or {})),), **changes)


def rendered(
    which: Alert, channel: str, language: str = "en-GB", *, link: str = LINK, **where: int
) -> Rendering:
    numbers = {"info_no": 0, "area_no": 0} | where
    return render(which, channel=channel, language=language, link=link, **numbers)

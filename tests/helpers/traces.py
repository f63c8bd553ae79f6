"""Small made-up alerts for the tests of the replay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HERE = NamedValue("district", "D1")
THERE = NamedValue("district", "D2")


def an_alert(
    identifier: str,
    *,
    at_s: float = 0,
    to: tuple[Alert, ...] = (),
    kind: MsgType | None = None,
    sender: str = "a@example.org",
    status: Status = Status.ACTUAL,
    scope: Scope = Scope.PUBLIC,
    areas: tuple[Area, ...] = (Area("District one", geocodes=(HERE,)),),
    lasts_s: float = 6 * 3600,
    **info: Any,
) -> Alert:
    """A Severe flood alert in one district; an Update where it refers `to` others."""
    sent = NOON + timedelta(seconds=at_s)
    said = Info(
        categories=(Category.MET,),
        event="Flood",
        urgency=Urgency.IMMEDIATE,
        severity=Severity.SEVERE,
        certainty=Certainty.OBSERVED,
        language="en",
        response_types=(ResponseType.SHELTER,),
        expires=sent + timedelta(seconds=lasts_s),
        headline=f"Flood, says {identifier}",
        instruction="Go upstairs.",
        areas=areas,
    )
    return Alert(
        identifier=identifier,
        sender=sender,
        sent=sent,
        status=status,
        msg_type=kind or (MsgType.UPDATE if to else MsgType.ALERT),
        scope=scope,
        references=tuple(a.triple for a in to),
        infos=(replace(said, **info),),
    )


def its_end(identifier: str, *, at_s: float, to: tuple[Alert, ...] = (), **more: Any) -> Alert:
    """An all-clear as most senders write it: an Update, Past, Minor."""
    return an_alert(
        identifier,
        at_s=at_s,
        to=to,
        urgency=Urgency.PAST,
        severity=Severity.MINOR,
        response_types=(ResponseType.ALL_CLEAR,),
        instruction=None,
        **more,
    )

"""What an alert says to one citizen, reduced to what decides whether it interrupts."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from alerting.domain.alert import Alert, MsgType, ResponseType, Severity, Urgency
from alerting.domain.said import said
from alerting.throttle.events.canon import info_text_hash, instruction_hash
from alerting.throttle.events.hazard import hazard_of

#: Responses that ask nothing of a citizen.
_IDLE = frozenset({ResponseType.NONE, ResponseType.ALL_CLEAR})

#: CAP-CP's hint (rule 16): what kind of change an update makes, where it makes none of substance.
_MINOR_CHANGE = "minorchange"
_NO_HINT = frozenset({"", "none", "no", "false"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a danger as an alert puts it to a citizen.

    key: names the alert. thread: the alerts linked to it by `references`.
    text, instruction: hashes of what the citizen reads; `instruction` is empty where there is none.
    ends: it says that the danger is over.
    minor: its sender declares the change to be without substance.
    """

    key: Hashable
    thread: Hashable
    sender: str
    sent_at: datetime
    expires_at: datetime
    msg_type: MsgType
    hazard: str
    severity: Severity
    urgency: Urgency
    responses: frozenset[ResponseType]
    text: bytes
    instruction: bytes
    ends: bool
    minor: bool


def stage_of(
    alert: Alert,
    info_no: int,
    *,
    key: Hashable,
    thread: Hashable,
    expires_at: datetime,
    order_at: datetime | None = None,
) -> Stage:
    """The stage an alert's info makes; `info_no` -1 for an alert without infos.

    expires_at: the alert's end where the info names none. order_at: by which the versions of its
    thread are ordered; None for its `sent`.
    """
    info = said(alert, info_no)
    if info is None:
        return Stage(
            key=key,
            thread=thread,
            sender=alert.sender,
            sent_at=order_at or alert.sent,
            expires_at=expires_at,
            msg_type=alert.msg_type,
            hazard="other",
            severity=Severity.UNKNOWN,
            urgency=Urgency.UNKNOWN,
            responses=frozenset(),
            text=b"",
            instruction=b"",
            ends=alert.msg_type is MsgType.CANCEL,
            minor=False,
        )
    return Stage(
        key=key,
        thread=thread,
        sender=alert.sender,
        sent_at=order_at or alert.sent,
        # An end counts as long as its alert does; its own time often is that of the danger.
        expires_at=expires_at if alert.ends_in(info) else info.expires or expires_at,
        msg_type=alert.msg_type,
        hazard=hazard_of(info),
        severity=info.severity,
        urgency=info.urgency,
        responses=frozenset(info.response_types) - _IDLE,
        text=info_text_hash(info),
        instruction=instruction_hash(info) if (info.instruction or "").strip() else b"",
        ends=alert.ends_in(info),
        minor=_declared_minor(alert),
    )


def _declared_minor(alert: Alert) -> bool:
    """CAP-CP writes `profile:CAP-CP:0.4:MinorChange` with the kind of change, or `none`."""
    return any(
        p.name.casefold().endswith(_MINOR_CHANGE) and p.value.strip().casefold() not in _NO_HINT
        for i in alert.infos
        for p in i.parameters
    )

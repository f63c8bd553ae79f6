"""Phase: what an alert says to one citizen, reduced to what decides whether it interrupts."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from alerting.domain.alert import (
    Alert,
    Certainty,
    Info,
    MsgType,
    ResponseType,
    Severity,
    Urgency,
)
from alerting.domain.info_selection import info_for
from alerting.domain.language import primary
from alerting.throttle.hazard import hazard_of
from alerting.throttle.reading import text_hash, words_read

#: Responses that ask nothing of a citizen.
_IDLE = frozenset({ResponseType.NONE, ResponseType.ALL_CLEAR})


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of a danger, as an alert presents it to a citizen.

    Attributes:
        key: Names the alert.
        thread: The alerts linked to it by `references`.
        expires_at: The end of the danger as shown to the citizen.
        valid_until: Until when it may be sent.
        onset_at: The beginning of the danger; None when it has begun, or nobody says.
        language: Of the words.
        words: Those the citizen reads, in `language`.
        text: A hash of everything a citizen may read.
        ends: It says that the danger is over.
        tell_again: Its sender asks for everybody to be notified again.
    """

    key: Hashable
    thread: Hashable
    sender: str
    sent_at: datetime
    expires_at: datetime
    valid_until: datetime
    msg_type: MsgType
    hazard: str
    severity: Severity
    urgency: Urgency
    certainty: Certainty
    responses: frozenset[ResponseType]
    onset_at: datetime | None
    language: str
    words: tuple[str, ...]
    text: bytes
    ends: bool
    tell_again: bool

    @property
    def high_priority(self) -> bool:
        return self.severity in {Severity.EXTREME, Severity.SEVERE}


def phase_of(
    alert: Alert,
    info_no: int,
    *,
    key: Hashable,
    thread: Hashable,
    expires_at: datetime,
    order_at: datetime | None = None,
) -> Phase:
    """The phase of an alert's info; `info_no` -1 for an alert without infos.

    Args:
        expires_at: The alert's end when the info names none.
        order_at: Orders the versions of its thread; None for its `sent`.
    """
    info = info_for(alert, info_no)
    if info is None:
        return Phase(
            key=key,
            thread=thread,
            sender=alert.sender,
            sent_at=order_at or alert.sent,
            expires_at=expires_at,
            valid_until=expires_at,
            msg_type=alert.msg_type,
            hazard="other",
            severity=Severity.UNKNOWN,
            urgency=Urgency.UNKNOWN,
            certainty=Certainty.UNKNOWN,
            responses=frozenset(),
            onset_at=None,
            language="",
            words=(),
            text=b"",
            ends=alert.msg_type is MsgType.CANCEL,
            tell_again=False,
        )
    ends = alert.ends_in(info)
    return Phase(
        key=key,
        thread=thread,
        sender=alert.sender,
        sent_at=order_at or alert.sent,
        # An end is valid as long as its alert; its own time often is that of the danger.
        expires_at=expires_at if ends else _end(info, expires_at),
        valid_until=expires_at if ends else info.expires or expires_at,
        msg_type=alert.msg_type,
        hazard=hazard_of(info),
        severity=info.severity,
        urgency=info.urgency,
        certainty=info.certainty,
        responses=frozenset(info.response_types) - _IDLE,
        onset_at=info.onset,
        language=primary(info.language),
        words=words_read(info),
        text=text_hash(info),
        ends=ends,
        tell_again=info.tell_again,
    )


def _end(info: Info, expires_at: datetime) -> datetime:
    """When a danger ends; when nobody says, not before it has begun."""
    return info.until or max(expires_at, info.onset or expires_at)

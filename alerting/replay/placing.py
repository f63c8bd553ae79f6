"""Which thread and which event each alert of a trace belongs to, and what older ones it ends."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from alerting.domain.alert import Alert, MsgType
from alerting.domain.alert_state import ENDED, AlertState
from alerting.replay.links import Links
from alerting.replay.memory import Source
from alerting.throttle.policy import Policy


@dataclass(frozen=True, slots=True)
class Place:
    """ended: older alerts of the thread, with what they have become."""

    source: Source
    ended: list[tuple[Source, AlertState]]


class Placing:
    def __init__(self, policy: Policy) -> None:
        self._links = Links()
        self._live: dict[Hashable, list[Source]] = {}
        self._number = 0

    def place(self, alert: Alert, expires_at: datetime) -> Place:
        thread, absorbed = self._links.place(alert)
        live = self._live.setdefault(thread, [])
        for other in absorbed:
            live += self._live.pop(other, [])
        source = Source(self._number, alert, thread, thread, expires_at)
        self._number += 1
        ended = []
        if alert.msg_type in {MsgType.UPDATE, MsgType.CANCEL}:
            state = (
                AlertState.CANCELLED if alert.msg_type is MsgType.CANCEL else AlertState.SUPERSEDED
            )
            ended = [(s, state) for s in live if s.state not in ENDED and s.alert.sent < alert.sent]
            live[:] = [s for s in live if s.alert.sent >= alert.sent]
        live.append(source)
        return Place(source, ended)

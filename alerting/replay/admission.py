"""Admission: each alert of a trace as live intake would take it. Its rules are that intake's own.

Whoever would be asked to approve an alert says yes at once: when that person would have answered,
nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime

from alerting.dispatch.intake.screening import screen
from alerting.dispatch.placement.place import ends, place, too_late
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import Principal
from alerting.replay.concern import Concern
from alerting.replay.ledger import Source
from alerting.replay.past import PastAlerts, PastCitizens
from alerting.throttle.policy.parse import Policy

#: Who replays alerts reads all of it, the register too.
_RIGHTS = frozenset({"read"})


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of an alert as it came.

    source: its state is SUPERSEDED where a newer version was here first. held: why a second person
    would have been asked; empty where none. ended: older alerts of the thread that it ends. rest:
    those that an end leaves in force for people outside its areas. merged: events that this alert's
    references show to be one with its own. unsure: a coordinator would be asked whether it is of
    another event too.
    """

    source: Source
    held: str
    ended: list[Source]
    rest: list[Source]
    merged: list[Hashable]
    unsure: bool


class Admission:
    """Takes alerts in the order they were sent.

    waits: True while something of an alert has still to be told.
    """

    def __init__(
        self, policy: Policy, concern: Concern, waits: Callable[[Source], bool] = lambda _: False
    ) -> None:
        self._policy = policy
        self._past = PastAlerts(waits)
        self._citizens = PastCitizens(concern)

    async def admit(self, alert: Alert, expires_at: datetime) -> Admitted:
        """Find an alert's thread and event, and what it ends; it is known to those that follow."""
        past, now, same = self._past, alert.sent, self._policy.same_event
        principal = Principal(f"key:{alert.sender}", rights=_RIGHTS)
        found = await place(past, alert, same, principal, now=now)
        screened = await screen(past, self._citizens, found, principal, (self._policy,), now=now)
        unsure, merged = found.placement.question is not None, [*found.placement.merged]
        past.join(found.joined, found.thread_id)
        state, held = screened.state, ""
        if state is AlertState.HELD:
            held = screened.reason
            again = await place(
                past, found.alert, same, principal, now=now, mine=found.signature, approved=True
            )
            # What it only resembles was found before.
            if again.joined:
                found = again
                past.join(found.joined, found.thread_id)
                merged += found.placement.merged
            late = await too_late(past, found.alert, found.thread_id, found.order_at)
            state = AlertState.SUPERSEDED if late else AlertState.ACCEPTED
        source = Source(
            past.next_no,
            found.alert,
            found.thread_id,
            found.event_id,
            expires_at,
            found.order_at,
            AlertState.DELIVERING if state is AlertState.ACCEPTED else state,
        )
        taken = Admitted(source, held, [], [], merged, unsure)
        if state is AlertState.ACCEPTED:
            made = await ends(past, source.alert, source.thread, source.order_at, but=source.id)
            taken = replace(
                taken,
                ended=[past.source(v.id) for v in made.ended],
                rest=[past.source(v.id) for v in made.rest],
            )
        past.keep(source, found.signature)
        for event in merged:
            past.merge(event, source.event)
        return taken

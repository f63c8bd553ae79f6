"""Admission: takes each alert of a trace by the rules of live intake.

An alert that needs approval is approved at once: when a person would have approved it is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime

from alerting.cap import called_a_test
from alerting.dispatch.intake.screening import screen
from alerting.dispatch.placement.place import ends, place, too_late
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import Principal
from alerting.replay.concern import Concern
from alerting.replay.ledger import Source
from alerting.replay.past import PastAlerts, PastCitizens
from alerting.throttle.brake import may_wait
from alerting.throttle.policy.parse import Policy

#: Who replays alerts reads all of it, the register too.
_RIGHTS = frozenset({"read"})


@dataclass(frozen=True, slots=True)
class Admitted:
    """The result of admitting one alert.

    Attributes:
        source: The alert as taken; its state is SUPERSEDED when a newer version came first.
        held: Why a second person would have been asked; empty when none would.
        ended: Older alerts of the thread that it ends.
        rest: Alerts that an end leaves in force for people outside its areas.
        merged: Events that its references show to be one with its own.
        unsure: Whether a coordinator would be asked if it belongs to another event too.
    """

    source: Source
    held: str
    ended: list[Source]
    rest: list[Source]
    merged: list[Hashable]
    unsure: bool


class Admission:
    """Admits alerts in the order they were sent.

    Args:
        waits: Returns True while a delivery of the alert waits.
    """

    def __init__(
        self, policy: Policy, concern: Concern, waits: Callable[[Source], bool] = lambda _: False
    ) -> None:
        self._policy = policy
        self._past = PastAlerts(waits)
        self._citizens = PastCitizens(concern)

    async def admit(self, alert: Alert, expires_at: datetime) -> Admitted:
        """Find the alert's thread and event and what it ends, and remember it for later alerts."""
        past, now, same = self._past, alert.sent, self._policy.same_event
        principal = Principal(f"key:{alert.sender}", rights=_RIGHTS)
        found = await place(past, alert, same, principal, now=now)
        waits = may_wait(found.alert, found.lane, principal, self._policy)
        screened = await screen(
            past,
            self._citizens,
            found,
            principal,
            (self._policy,) if waits else (),
            test=called_a_test(found.alert),
            now=now,
        )
        unsure, merged = found.placement.question is not None, [*found.placement.merged]
        past.join(found.joined, found.thread_id)
        state, held = screened.state, ""
        if state is AlertState.HELD:
            held = screened.reason
            again = await place(
                past, found.alert, same, principal, now=now, mine=found.signature, approved=True
            )
            # Events it only resembles were found before.
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

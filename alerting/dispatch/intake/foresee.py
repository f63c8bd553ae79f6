"""Foresee: predicts the outcome of deliveries by the same rules that decide them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels import registry
from alerting.dispatch.evaluation import policies, silences
from alerting.dispatch.evaluation.history import Histories, Known
from alerting.dispatch.plan import ByLane
from alerting.domain.alert_state import AlertState
from alerting.domain.citizen import Recipient
from alerting.domain.decision import Action, Decision
from alerting.domain.lane import Lane
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.citizens import directory
from alerting.store.citizens.directory import Hours
from alerting.store.db import raw
from alerting.store.ledger.planning import NewDelivery
from alerting.throttle.belief import Past
from alerting.throttle.evaluator import AlertEvaluator, Subject
from alerting.throttle.rules import AskBudget, decide


class Hears(IntEnum):
    """How an alert would notify a citizen, in ascending order."""

    NOTHING = 0
    LATER = 1
    QUIETLY = 2
    AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The predicted outcome of one delivery.

    Attributes:
        decision: None when the address cannot be used; the ledger would have the reason.
    """

    delivery: NewDelivery
    channel: str
    lane: Lane
    time_zone: str
    decision: Decision | None

    @property
    def hears(self) -> Hears:
        """How this delivery would notify its citizen."""
        action = self.decision.action if self.decision else Action.DROP
        if action is Action.SEND:
            return Hears.AT_ONCE if registry.spec(self.channel).wakes else Hears.QUIETLY
        if action is Action.SILENT:
            return Hears.QUIETLY if registry.can_be_silent(self.channel) else Hears.NOTHING
        return Hears.NOTHING if action is Action.DROP else Hears.LATER


async def foresee(
    connection: AsyncConnection,
    stored: StoredAlert,
    recipients: Sequence[Recipient],
    *,
    now: datetime,
    all_channels_lanes: Collection[str],
    ended: Collection[UUID] = (),
) -> list[Foreseen]:
    """Predict the outcome of each delivery of an alert to these recipients; changes nothing.

    Budgets are not consulted: where one would decide, the delivery counts as sent.

    Args:
        ended: Alerts that this one would end or replace and that have not ended yet.
    """
    alert, ids = stored.alert, [r.citizen_id for r in recipients]
    known = await Histories().of(connection, stored, ids, now=now)
    if ended:
        known = {i: _after(k, set(ended), stored) for i, k in known.items()}
    hours = await directory.hours(await raw(connection), ids)
    policy = (await policies.live(connection)).policy
    standing = await silences.standing(connection, now)
    usable = {t.address_id for r in recipients for t in r.targets if t.usable}

    def evaluated() -> list[Foreseen]:
        found: list[Foreseen] = []
        for lane, by_channel in ByLane(alert, all_channels_lanes).spread(list(recipients)):
            for channel, deliveries in by_channel.items():
                evaluator = AlertEvaluator(
                    alert,
                    policy,
                    key=stored.id,
                    thread=stored.thread_id,
                    state=AlertState.DELIVERING,
                    expires_at=stored.expires_at,
                    order_at=stored.order_at,
                    submitted_at=stored.submitted_at,
                    now=now,
                    can_be_silent=registry.can_be_silent(channel),
                    silences=standing,
                )
                for d in deliveries:
                    its = hours.get(d.citizen_id)
                    decision = None
                    if d.address_id in usable:
                        decision = _decided(evaluator, _subject(d, known.get(d.citizen_id), its))
                    zone = its.time_zone if its else ""
                    found.append(Foreseen(d, channel, lane, zone, decision))
        return found

    # In a thread: thousands of decisions take as much processor time as hundreds of requests.
    return await asyncio.to_thread(evaluated)


def _decided(evaluator: AlertEvaluator, subject: Subject) -> Decision:
    facts = evaluator.facts(subject)
    decision = decide(facts)
    if isinstance(decision, AskBudget):
        return Decision(Action.SEND, facts.assessment.reason)
    return decision


def _subject(d: NewDelivery, known: Known | None, hours: Hours | None) -> Subject:
    return Subject(
        d.citizen_id,
        d.info_no,
        d.area_no,
        d.places,
        time_zone=hours.time_zone if hours else "",
        quiet_from=hours.quiet_from if hours else None,
        quiet_to=hours.quiet_to if hours else None,
        history=known.event if known else (),
        elsewhere=known.elsewhere if known else (),
    )


def _after(known: Known, ended: Collection[UUID], by: StoredAlert) -> Known:
    """A citizen's history as it will be once `by` has ended these alerts."""

    def past(p: Past) -> Past:
        if p.phase.key not in ended:
            return p
        if by.ends:
            return replace(p, over=True, over_at=by.submitted_at)
        return replace(p, replaced=True)

    return Known([past(p) for p in known.event], known.elsewhere)

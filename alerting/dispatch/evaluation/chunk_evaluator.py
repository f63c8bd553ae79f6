"""Evaluates a chunk's open deliveries with the throttle, and maps each decision to an outcome."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.clock import Clock
from alerting.dispatch.documents import Documents
from alerting.dispatch.evaluation.follow_up import END_REASONS, follow_ups, only_open
from alerting.dispatch.evaluation.history import Histories, Known
from alerting.dispatch.evaluation.policies import InForce, PolicyCache
from alerting.dispatch.evaluation.shared_endpoints import one_per_endpoint
from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Action, Decision, Reason
from alerting.domain.delivery import DeliveryState
from alerting.drills import walls
from alerting.errors import Unavailable
from alerting.store.admin import policy_versions
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.citizens import drill_walls
from alerting.store.db import Database
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.store.ledger.outcomes import OutcomeRow
from alerting.throttle.budget import Ask, Budget
from alerting.throttle.evaluator import AlertEvaluator, Evaluated, Subject, limits_of
from alerting.throttle.policy.parse import Policy

#: The final state of a delivery that was refused because its alert had ended; any other refusal
#: suppresses it.
END_STATES = {
    Reason.EXPIRED: DeliveryState.EXPIRED,
    Reason.CANCELLED: DeliveryState.REVOKED,
    Reason.SUPERSEDED: DeliveryState.REVOKED,
}

#: Reasons for which a citizen is not told again what they already know.
_SPARED = frozenset({Reason.IDENTICAL, Reason.COVERED, Reason.TEXT_ONLY})


@dataclass(frozen=True, slots=True)
class Sending:
    """A delivery to send, with its decision."""

    delivery: OpenDelivery
    decision: Decision

    @property
    def silent(self) -> bool:
        return self.decision.action is Action.SILENT

    @property
    def in_doubt(self) -> bool:
        return self.delivery.state == DeliveryState.IN_DOUBT


class ChunkEvaluator:
    """Evaluates chunks on one event loop, with the live policy and in parallel the shadow policy.

    Args:
        budget: The citizens' budgets, shared by all workers.
        fallback: This process's own, for when those cannot be read.
        shadow_budget: The budgets the shadow policy spends.
        documents: The parsed alerts of this process.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        policies: PolicyCache,
        *,
        budget: Budget,
        fallback: Budget,
        shadow_budget: Budget,
        documents: Documents | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._policies = policies
        self._budget = budget
        self._fallback = fallback
        self._shadow_budget = shadow_budget
        self.documents = documents or Documents()
        self._histories = Histories(self.documents)
        self._charging: set[asyncio.Task[None]] = set()

    async def of(
        self,
        stored: StoredAlert,
        pending: Sequence[OpenDelivery],
        *,
        can_be_silent: bool,
        digest: bool = False,
    ) -> list[Decision]:
        """Return the decision for each delivery, in order, each with its reason.

        Args:
            digest: The deliveries carry digests, whose items were evaluated before; only the end of
                an alert, a closed address and the citizens' quiet hours can still withhold them.
        """
        outsiders: frozenset[int] = frozenset()
        if stored.is_drill:
            outsiders = await self._outsiders(stored, pending)
        earlier: dict[int, Decision] = {}
        second = [] if digest else [d for d in pending if d.follows is not None]
        if digest or second:
            earlier = follow_ups(
                stored,
                stored.alert,
                pending,
                digest=digest,
                now=self._clock.now(),
                policy=(await self._policies.in_force()).live,
                can_be_silent=can_be_silent,
                outsiders=outsiders,
                overtaken=await self._overtaken(stored, second, can_be_silent),
            )
        first = [d for d in pending if d.id not in earlier]
        decisions = await self._of(stored, first, can_be_silent, outsiders)
        evaluated = dict(zip((d.id for d in first), decisions, strict=True))
        decided = evaluated | earlier
        decisions = [decided[d.id] for d in pending]
        # Two digests to one endpoint have different contents.
        return (
            decisions
            if digest
            else one_per_endpoint(pending, decisions, can_be_silent=can_be_silent)
        )

    async def _outsiders(
        self, stored: StoredAlert, pending: Sequence[OpenDelivery]
    ) -> frozenset[int]:
        """The citizens who take no part in a drill. Raises an alarm for those who never did while
        it ran."""
        async with self._db.begin() as connection:
            outsiders, never_members = await outsiders_of(
                connection, stored, [d.citizen_id for d in pending]
            )
            if never_members:
                await walls.raise_alarm(
                    connection,
                    "throttle",
                    stored.id,
                    f"Drill {stored.id} had deliveries for {never_members} people on none of its "
                    "rosters; they were not sent",
                )
        return outsiders

    async def _overtaken(
        self, stored: StoredAlert, second: Sequence[OpenDelivery], can_be_silent: bool
    ) -> dict[int, Decision]:
        """The decisions for deliveries by the next channel whose citizens have been notified of
        something newer since."""
        known = await self._known(stored, second)
        in_force = await self._policies.in_force()
        evaluator = self._evaluator_for(stored, in_force, in_force.live, can_be_silent)
        found = {d.id: evaluator.overtaken(subject_of(d, known.get(d.citizen_id))) for d in second}
        return {n: decision for n, decision in found.items() if decision is not None}

    async def _known(
        self, stored: StoredAlert, pending: Sequence[OpenDelivery]
    ) -> dict[int, Known]:
        if not pending:
            return {}
        async with self._db.begin() as connection:
            return await self._histories.of(
                connection, stored, [d.citizen_id for d in pending], now=self._clock.now()
            )

    def _evaluator_for(
        self, stored: StoredAlert, in_force: InForce, policy: Policy, can_be_silent: bool
    ) -> AlertEvaluator:
        return AlertEvaluator(
            stored.alert,
            policy,
            key=stored.id,
            thread=stored.thread_id,
            state=stored.state,
            expires_at=stored.expires_at,
            order_at=stored.order_at,
            submitted_at=stored.submitted_at,
            now=self._clock.now(),
            can_be_silent=can_be_silent,
            silences=in_force.silences,
        )

    async def _of(
        self,
        stored: StoredAlert,
        pending: Sequence[OpenDelivery],
        can_be_silent: bool,
        outsiders: frozenset[int],
    ) -> list[Decision]:
        if not pending:
            return []
        in_force = await self._policies.in_force()
        known = await self._known(stored, pending)
        subjects = [
            subject_of(d, known.get(d.citizen_id), participant=d.citizen_id not in outsiders)
            for d in pending
        ]
        live = self._evaluator_for(stored, in_force, in_force.live, can_be_silent)
        evaluated = await self._evaluate(live, stored.id, pending, subjects, self._budget)
        self._charge(live.charges(subjects, evaluated), str(stored.id), in_force.live)
        if in_force.shadow is not None and in_force.shadow_version is not None:
            shadow_evaluator = self._evaluator_for(stored, in_force, in_force.shadow, can_be_silent)
            others = await self._evaluate(
                shadow_evaluator, stored.id, pending, subjects, self._shadow_budget
            )
            await self._compare(in_force.shadow_version, stored, pending, evaluated, others)
        return [
            _resend_in_doubt(d, j.decision, known.get(d.citizen_id))
            for d, j in zip(pending, evaluated, strict=True)
        ]

    def without_rules(self, stored: StoredAlert, pending: Sequence[OpenDelivery]) -> list[Decision]:
        """The decisions when the throttle itself fails: everything that may go out at all is sent.

        Nothing of a drill is sent, because nobody has checked who takes part.
        """
        now = self._clock.now()
        actual = not stored.is_drill
        return [only_open(stored, d, now, Reason.UNJUDGED, participant=actual) for d in pending]

    async def _evaluate(
        self,
        evaluator: AlertEvaluator,
        alert_id: UUID,
        pending: Sequence[OpenDelivery],
        subjects: Sequence[Subject],
        budget: Budget,
    ) -> list[Evaluated]:
        """Evaluate in rounds: a delivery that was deferred before is a new question to the
        budget."""
        rounds: dict[int, list[int]] = defaultdict(list)
        for n, d in enumerate(pending):
            rounds[d.deferrals].append(n)
        evaluated: dict[int, Evaluated] = {}
        for number, places in rounds.items():
            answers = await evaluator.evaluate(
                [subjects[n] for n in places],
                occasion=f"{alert_id}:{number}",
                budget=budget,
                fallback=self._fallback,
            )
            evaluated.update(zip(places, answers, strict=True))
        return [evaluated[n] for n in range(len(pending))]

    async def _compare(
        self,
        version: int,
        stored: StoredAlert,
        pending: Sequence[OpenDelivery],
        live: Sequence[Evaluated],
        shadow: Sequence[Evaluated],
    ) -> None:
        """Count what the shadow policy would have decided; a delivery counts when it is first
        evaluated."""
        counts = Counter(
            (
                j.decision.action.value,
                j.decision.reason.value,
                s.decision.action.value,
                s.decision.reason.value,
            )
            for d, j, s in zip(pending, live, shadow, strict=True)
            if not d.tries and not d.deferrals
        )
        async with self._db.begin() as connection:
            await policy_versions.add_shadow_counts(connection, version, stored.id, counts)

    def _charge(self, asks: Sequence[Ask], occasion: str, policy: Policy) -> None:
        """Charge high-priority messages to the budgets in the background; nothing waits for it."""
        if not asks:
            return

        async def charge() -> None:
            with suppress(Unavailable):
                await self._budget.ask(
                    occasion, asks, limits_of(policy), timeout_s=policy.redis.timeout_s
                )

        task = asyncio.create_task(charge())
        self._charging.add(task)
        task.add_done_callback(self._charging.discard)


def _resend_in_doubt(d: OpenDelivery, decision: Decision, known: Known | None) -> Decision:
    """Two messages in doubt, both possibly lost, must not keep each other from being sent again."""
    if d.state != DeliveryState.IN_DOUBT or decision.reason not in _SPARED:
        return decision
    if known is not None and any(p.sure for p in known.event):
        return decision
    return Decision(Action.SEND, Reason.NEW)


async def outsiders_of(
    connection: AsyncConnection, stored: StoredAlert, citizen_ids: Sequence[int]
) -> tuple[frozenset[int], int]:
    """Of these citizens, those who take no part in a drill now, and how many of them have been on
    none of its rosters since its plan was written."""
    known = await drill_walls.memberships(connection, stored.id, stored.addresses, citizen_ids)
    outsiders = frozenset(c for c in citizen_ids if not known.get(c, False))
    return outsiders, len(outsiders - known.keys())


def subject_of(d: OpenDelivery, known: Known | None, *, participant: bool = True) -> Subject:
    """The evaluator's view of one delivery. A deleted address counts as no consent."""
    return Subject(
        citizen_id=d.citizen_id,
        info_no=d.info_no,
        area_no=d.area_no,
        places=d.places,
        consent=bool(d.consent),
        verified=bool(d.verified),
        suspended=bool(d.suspended_reason),
        already_told=d.already_told,
        time_zone=d.time_zone,
        quiet_from=d.quiet_from,
        quiet_to=d.quiet_to,
        history=known.event if known else (),
        elsewhere=known.elsewhere if known else (),
        participant=participant,
    )


def withheld(d: OpenDelivery, decision: Decision) -> OutcomeRow:
    """The ledger row for a delivery that is not sent now."""
    reason = decision.reason.value
    match decision.action:
        case Action.DEFER:
            return OutcomeRow(d.id, DeliveryState.DEFERRED, reason, due_at=decision.until)
        case Action.DIGEST:
            return OutcomeRow(d.id, DeliveryState.DEFERRED, reason)
        case Action.SILENT:
            return OutcomeRow(d.id, DeliveryState.SUPPRESSED, reason, silent=True)
        case _:
            state = END_STATES.get(decision.reason, DeliveryState.SUPPRESSED)
            return OutcomeRow(d.id, state, reason)


def ended_as(state: AlertState) -> tuple[DeliveryState, str]:
    """The final state and reason of deliveries that were still planned when their alert ended."""
    reason = END_REASONS.get(state, Reason.CANCELLED)
    return END_STATES[reason], reason.value

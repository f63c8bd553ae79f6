"""Deliver: evaluate one chunk, send what may go, record the outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.clock import Clock
from alerting.dispatch import reach
from alerting.dispatch.chunks.compose import Group, Texts
from alerting.dispatch.chunks.in_doubt import look_up
from alerting.dispatch.chunks.outcome import (
    IN_DOUBT,
    InDoubtStep,
    held_long_enough,
    in_doubt_step,
    next_try,
)
from alerting.dispatch.chunks.send import Pause, Sender, ShouldYield
from alerting.dispatch.escalate import wait_of
from alerting.dispatch.evaluation.chunk_evaluator import ChunkEvaluator, Sending, ended_as, withheld
from alerting.dispatch.lease import Lease
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.decision import Action, Decision, Reason
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import HIGH_PRIORITY_LANES
from alerting.domain.links import Links
from alerting.observe.logs import logger
from alerting.observe.metrics import count_deliveries
from alerting.providers.failover import Routes
from alerting.settings import Settings
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.citizens import drill_walls
from alerting.store.db import AWAY, Database
from alerting.store.ledger import deliveries, digests, unreached
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.store.ledger.digests import Item
from alerting.store.ledger.outcomes import OutcomeRow, record_outcomes
from alerting.store.work import claims
from alerting.store.work.outbox import Work

log = logger(__name__)


class Deliverer:
    """Carries out claimed chunks on one event loop, with that loop's open channels.

    stopping: True once this process must end; chunks are then left for others. should_yield: says
    whether a chunk goes back to the queue between two windows, so that others come first.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        routes: Routes,
        evaluator: ChunkEvaluator,
        links: Links,
        settings: Settings,
        *,
        stopping: Callable[[], bool] = lambda: False,
        should_yield: ShouldYield = lambda work: False,
    ) -> None:
        self._db = db
        self._clock = clock
        self._routes = routes
        self._evaluator = evaluator
        self._documents = evaluator.documents
        self._links = links
        self._settings = settings
        self._texts = Texts()
        self._sender = Sender(clock, routes, settings, stopping=stopping, should_yield=should_yield)

    async def run(self, work: Work) -> None:
        """Send as much of the chunk as possible now, then finish it or release it for later.

        Raises Fenced when another worker has taken the chunk over; nothing is written then.
        """
        lease = Lease(self._db, work, lease_s=self._settings.lease_s)
        async with lease.heartbeat():
            stored, pending = await self._load(lease)
            # Before the throttle is asked: members who leave in between must be dropped there.
            passes = await self._passes(work, stored) if stored.is_drill else {}
            pause = Pause()
            silent = self._routes.can_be_silent(work.channel)
            sendable, kept = await self._evaluate_pending(
                lease, stored, pending, can_be_silent=silent
            )
            if not self._routes.has(work.channel):
                log.error("chunk.no_channel", chunk=work.id, channel=work.channel)
                pause = Pause(self._settings.retry_max_s)
            elif sendable:
                group = await self._group(work, stored, passes)
                sendable = await self._without_empty(lease, group, sendable)
                pause = await self._sender.send_all(lease, stored, group, sendable)
            await self._end(lease, stored, pause, kept)

    async def _load(self, lease: Lease) -> tuple[StoredAlert, list[OpenDelivery]]:
        """The chunk's open deliveries; those a dead worker left in its window are marked in
        doubt."""
        work = lease.work

        async def mark_window(connection: AsyncConnection, _: AlertState) -> None:
            window = (work.window_from, work.window_to)
            count = await deliveries.mark_in_doubt(
                connection, work.id, window, now=self._clock.now()
            )
            log.warning("chunk.in_doubt", chunk=work.id, count=count)

        left = work.window_to > work.window_from
        await lease.write(mark_window if left else None, window_from=0, window_to=0)
        async with self._db.begin() as connection:
            stored = await self._documents.get(connection, work.alert_id)
            if stored is None:
                raise claims.Fenced(f"alert {work.alert_id} is gone")
            return stored, await deliveries.open_of_chunk(
                connection, work.id, work.size, now=self._clock.now()
            )

    async def _evaluate_pending(
        self,
        lease: Lease,
        stored: StoredAlert,
        pending: Sequence[OpenDelivery],
        *,
        can_be_silent: bool,
    ) -> tuple[list[Sending], set[int]]:
        """Evaluate the deliveries that are due and record those withheld. Returns the deliveries to
        send, and the ids of those in doubt that are not sent again."""
        now, work = self._clock.now(), lease.work
        asked, refused, doubts = [], [], []
        for d in pending:
            if d.state == DeliveryState.DEFERRED and d.due_at is not None and d.due_at > now:
                continue
            if d.state == DeliveryState.IN_DOUBT:
                doubts.append(d)
            elif not d.waits:
                asked.append(d)
        if doubts:
            closed, again = await self._resolve_in_doubt(work, stored, doubts)
            refused += closed
            asked += again
        decisions = await self._decisions(work, stored, asked, can_be_silent=can_be_silent)
        sendable, digested = [], []
        kept: set[int] = set()
        for d, decision in zip(asked, decisions, strict=True):
            silent = decision.action is Action.SILENT and can_be_silent
            if decision.action is Action.SEND or silent:
                sendable.append(Sending(d, decision))
            elif d.state == DeliveryState.IN_DOUBT:
                # It is not sent again, but a receipt may still arrive.
                kept.add(d.id)
                if held_long_enough(d, now, self._settings):
                    refused.append(OutcomeRow(d.id, DeliveryState.FAILED, IN_DOUBT))
            else:
                refused.append(withheld(d, decision))
                if decision.action is Action.DIGEST and decision.until is not None:
                    digested.append(
                        Item(d.id, d.citizen_id, stored.event_id, stored.id, decision.until)
                    )
        if refused:

            async def withhold(connection: AsyncConnection, _: AlertState) -> None:
                await record_outcomes(connection, refused, now=self._clock.now())
                await digests.add(connection, digested)

            await lease.write(withhold)
            count_deliveries(work.channel, (s.state.value for s in refused))
        return sendable, kept

    async def _resolve_in_doubt(
        self, work: Work, stored: StoredAlert, doubts: Sequence[OpenDelivery]
    ) -> tuple[list[OutcomeRow], list[OpenDelivery]]:
        """Decide about deliveries in doubt: the outcomes to record now, and those to send again.

        The provider is asked first; a message it does not know was not accepted.
        """
        now = self._clock.now()
        steps = [(d, in_doubt_step(d, work.lane, now, self._settings)) for d in doubts]
        due = [(d, step) for d, step in steps if step is not InDoubtStep.WAIT]
        if not due:
            return [], []
        group = await self._group(work, stored)
        answers = await look_up(self._routes, work, stored, group, [d for d, _ in due])
        settled = {s.delivery_id for s in answers.settled}
        closed, again = list(answers.settled), []
        for d, step in due:
            if d.id in settled:
                continue
            if step is InDoubtStep.RESEND or (
                d.id in answers.not_taken and d.tries < self._settings.max_tries
            ):
                again.append(d)
            else:
                closed.append(OutcomeRow(d.id, DeliveryState.FAILED, IN_DOUBT))
        return closed, again

    async def _decisions(
        self,
        work: Work,
        stored: StoredAlert,
        asked: Sequence[OpenDelivery],
        *,
        can_be_silent: bool,
    ) -> list[Decision]:
        """The throttle's decisions. A throttle that fails repeatedly does not stop a high-priority
        alert."""
        try:
            return await self._evaluator.of(
                stored, asked, can_be_silent=can_be_silent, digest=work.digest
            )
        except AWAY:
            raise
        except Exception:
            if work.lane not in HIGH_PRIORITY_LANES or work.tries < self._settings.max_chunk_tries:
                raise
            log.exception("chunk.unjudged", chunk=work.id)
            return self._evaluator.without_rules(stored, asked)

    async def _without_empty(
        self, lease: Lease, group: Group, sendable: Sequence[Sending]
    ) -> list[Sending]:
        """Leave out digests whose items have all been revoked."""
        empty = [
            OutcomeRow(s.delivery.id, DeliveryState.REVOKED, Reason.CANCELLED.value)
            for s in sendable
            if group.says_nothing(s.delivery)
        ]
        if empty:
            await lease.write(lambda c, _: record_outcomes(c, empty, now=self._clock.now()))
        return [s for s in sendable if not group.says_nothing(s.delivery)]

    async def _passes(self, work: Work, stored: StoredAlert) -> dict[int, bytes]:
        """The passes with which channels accept a drill for the addresses of its chunk."""
        async with self._db.begin() as connection:
            return await drill_walls.passes(connection, stored.addresses, work.id, work.size)

    async def _group(
        self, work: Work, stored: StoredAlert, passes: Mapping[int, bytes] | None = None
    ) -> Group:
        carried, others = {}, {stored.id: stored.alert}
        codes: dict[UUID, str | None] = {}
        if work.digest:
            async with self._db.begin() as connection:
                carried = await digests.carried(connection, work.id, work.size)
                alert_ids = {c.alert_id for parts in carried.values() for c in parts}
                async for found in self._documents.each(connection, alert_ids):
                    others[found.id] = found.alert
                    codes[found.id] = found.code
        return Group(
            others[stored.id],
            stored,
            work,
            self._links,
            self._settings,
            texts=self._texts,
            digests=carried,
            alerts=others,
            codes=codes,
            passes=passes,
        )

    async def _end(self, lease: Lease, stored: StoredAlert, pause: Pause, kept: Set[int]) -> None:
        """Finish the chunk, or release it with a time when something is left to do.

        Args:
            kept: Ids of deliveries in doubt that the throttle would not send again.
        """
        work, now = lease.work, self._clock.now()

        async def end(connection: AsyncConnection, state: AlertState) -> None:
            if now >= stored.expires_at and state not in ENDED:
                state = AlertState.EXPIRED
            if state in ENDED:
                closed, reason = ended_as(state)
                await deliveries.close_chunk(
                    connection, work.id, work.size, closed, reason, now=now
                )
            left = await deliveries.open_of_chunk(connection, work.id, work.size, now=now)
            look_at = await self._look_at(connection, work)
            if left:
                delay_s = pause.wait_s
                if not pause.yielded:
                    due = min(
                        now + timedelta(seconds=self._settings.retry_s)
                        if d.waits
                        else next_try(d, work.lane, now, self._settings, to_send=d.id not in kept)
                        for d in left
                    )
                    delay_s = max((due - now).total_seconds(), delay_s)
                await claims.release(
                    connection, work, delay_s=delay_s, cursor=pause.next_seq, check_at=look_at
                )
            else:
                await claims.finish(connection, work, check_at=look_at)
                await reach.finish(connection, work.alert_id, now=now)

        await lease.write(end)

    async def _look_at(self, connection: AsyncConnection, work: Work) -> datetime | None:
        """When to look for citizens the chunk did not reach. For a digest its items are looked at
        instead."""
        if work.digest:
            return None
        wait = wait_of(work.lane, self._settings, self._clock.now())
        return await unreached.next_look(connection, work.id, work.size, wait)

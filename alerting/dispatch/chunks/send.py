"""Send: the evaluated deliveries of a chunk, window by window, and their outcomes.

The crash window: before a provider is called, the chunk's row records which positions of the chunk
are open (`window_from`, `window_to`). A worker that dies there leaves at most one window of
deliveries in doubt, and the next owner knows exactly which.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels.base import REFUSED_CONTENT, Outcome
from alerting.clock import Clock
from alerting.dispatch.chunks.compose import Group
from alerting.dispatch.chunks.locks import ChannelLocks, Turn
from alerting.dispatch.chunks.outcome import after_send, asked_to_wait
from alerting.dispatch.evaluation.chunk_evaluator import Sending
from alerting.dispatch.lease import Lease
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.delivery import DeliveryState
from alerting.observe.logs import logger
from alerting.observe.metrics import count_deliveries
from alerting.providers.failover import Routes
from alerting.settings import Settings
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.citizens import directory
from alerting.store.ledger import deliveries
from alerting.store.ledger.outcomes import OutcomeRow, record_outcomes
from alerting.store.work.outbox import Work

log = logger(__name__)

#: Whether to release a chunk between two windows, so that others come first.
ShouldYield = Callable[[Work], bool]

#: A chunk evaluated longer ago than this is evaluated again instead of going on after others.
_STALE_S = 30.0

#: The code of a delivery whose message could not be composed; no provider was called.
NOT_COMPOSED = "not-composed"


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a chunk stopped early: pause the provider for `wait_s`, then start at `next_seq`.

    Starting after the refused part keeps the rest of a chunk from waiting for its first window.

    Attributes:
        yielded: Others come first, or this process ends, after at least one window: nothing was
            wrong with what is left, which is due at once.
    """

    wait_s: float = 0.0
    next_seq: int = 0
    yielded: bool = False


def windows(sendable: Sequence[Sending], size: int, *, start: int) -> Iterator[Sequence[Sending]]:
    """Windows of at most `size` deliveries, by position in the chunk: from `start` to the end, then
    those before it.

    Deliveries in doubt more than once come last, one at a time: one of them may be what crashes its
    workers, and must not take the others with it.
    """
    in_order = sorted(sendable, key=lambda s: s.delivery.id)
    suspects = [s for s in in_order if is_suspect(s)]
    rest = [s for s in in_order if not is_suspect(s)]
    ahead = [s for s in rest if s.delivery.seq >= start]
    behind = [s for s in rest if s.delivery.seq < start]
    for part in (ahead, behind):
        for i in range(0, len(part), size):
            yield part[i : i + size]
    for one in suspects:
        yield [one]


def is_suspect(s: Sending) -> bool:
    """True for a delivery that was in doubt more than once: it may crash its workers."""
    return s.in_doubt and s.delivery.tries > 1


class Sender:
    """Sends evaluated deliveries, on one event loop.

    stopping: True once this process is to end; a chunk is then left between two windows.
    should_yield: whether a chunk is to make room for others between two windows.
    """

    def __init__(
        self,
        clock: Clock,
        routes: Routes,
        settings: Settings,
        *,
        stopping: Callable[[], bool] = lambda: False,
        should_yield: ShouldYield = lambda work: False,
    ) -> None:
        self._clock = clock
        self._routes = routes
        self._settings = settings
        self._stopping = stopping
        self._locks = ChannelLocks()
        self._should_yield = should_yield

    async def send_all(
        self,
        lease: Lease,
        stored: StoredAlert,
        group: Group,
        sendable: Sequence[Sending],
    ) -> Pause:
        """Open a window, call the provider for each delivery in it, record the outcomes, and
        repeat.

        Between two windows others may go first. Stops there when the alert has ended, this process
        is to stop, its lane is to yield, or the provider asks for a pause; returns how long and
        where to continue.

        Raises:
            Fenced
        """
        work = lease.work
        size = await self._routes.window(work.channel, self._settings.window)
        job = _Job(lease, stored, group)
        parts = windows(sendable, size, start=work.cursor)
        evaluated_s = time.monotonic()
        async with self._locks.held(work) as turn:
            return await self._windows(job, parts, turn, stale_s=evaluated_s + _STALE_S)

    async def _windows(
        self, job: _Job, parts: Iterable[Sequence[Sending]], turn: Turn, *, stale_s: float
    ) -> Pause:
        lease, pause, done = job.lease, Pause(), _Done()
        for no, window in enumerate(parts):
            stops = self._stopping()
            if no and not stops and turn.is_wanted():
                stops = time.monotonic() >= stale_s
                if not stops:
                    # Nothing is in doubt while others send.
                    await self._write(lease, done)
                    done = _Done()
                    await turn.pass_on()
                    stops = self._stopping() or time.monotonic() >= stale_s
            if stops or (no and self._should_yield(lease.work)):
                pause = Pause(0, window[0].delivery.seq, yielded=no > 0)
                break
            state, still = await self._write(lease, done, window)
            done = _Done()
            if state in ENDED or self._clock.now() >= job.stored.expires_at:
                break
            # A receipt may have resolved the first try meanwhile.
            window = [s for s in window if not s.in_doubt or s.delivery.id in still]
            attempted_at = self._clock.now()
            # Calls wait for a connection or for the rate limit; an end stops those not yet begun.
            async with lease.watching_for_end():
                outcomes = await asyncio.gather(*(self._send(job, s) for s in window))
            ended_as = (o.error.code if o.error else "accepted" for o in outcomes)
            count_deliveries(lease.work.channel, ended_as)
            done = self._done(window, outcomes, attempted_at)
            wait_s = asked_to_wait(outcomes)
            if wait_s:
                pause = Pause(wait_s, window[-1].delivery.seq + 1)
                break
        await self._write(lease, done)
        return pause

    async def _send(self, job: _Job, sending: Sending) -> Outcome:
        delivery_id = sending.delivery.id
        try:
            message = job.group.message(sending)
        except Exception:
            # One text that cannot be composed must not stop the rest of its chunk.
            log.exception("message.not_composed", delivery=delivery_id)
            return Outcome(delivery_id, REFUSED_CONTENT, provider_code=NOT_COMPOSED, called=False)
        work, d = job.lease.work, sending.delivery
        return await self._routes.send(
            work.channel,
            message,
            work.lane,
            job.stored.submitted_by,
            avoid=d.provider if sending.in_doubt else "",
            may_call=lambda: job.lease.is_valid,
        )

    def _done(
        self, window: Sequence[Sending], outcomes: Sequence[Outcome], attempted_at: datetime
    ) -> _Done:
        dead: dict[str, list[int]] = defaultdict(list)
        for s, o in zip(window, outcomes, strict=True):
            if o.error is not None and o.error.suspend:
                dead[o.error.code].append(s.delivery.address_id)
        outcome_rows = [
            after_send(
                s.delivery,
                o,
                attempted_at,
                self._settings,
                reason=s.decision.reason.value,
                silent=s.silent,
            )
            for s, o in zip(window, outcomes, strict=True)
        ]
        return _Done(outcome_rows, dead)

    async def _write(
        self, lease: Lease, done: _Done, window: Sequence[Sending] = ()
    ) -> tuple[AlertState, set[int]]:
        """Record outcomes and open the next window, in one transaction.

        Returns the alert's state, and which of the window's deliveries in doubt still are.
        """
        opened = (window[0].delivery.seq, window[-1].delivery.seq + 1) if window else (0, 0)
        now = self._clock.now()
        doubts = [s.delivery.id for s in window if s.in_doubt]
        deferred = [s.delivery.id for s in window if s.delivery.state == DeliveryState.DEFERRED]
        if not done.dead and not doubts and not deferred:
            return await lease.commit_batch_and_open_next(done.outcome_rows, opened, now=now), set()
        still: set[int] = set()

        async def act(connection: AsyncConnection, _: AlertState) -> None:
            nonlocal still
            await record_outcomes(connection, done.outcome_rows, now=now)
            await directory.suspend(connection, done.dead)
            if doubts:
                still = await deliveries.about_to_repeat(connection, doubts)
            if deferred:
                await deliveries.take_up(connection, deferred)

        # Only consecutive claims without any progress count against a chunk.
        counted = {"tries": 1} if done.outcome_rows else {}
        state = await lease.write(act, window_from=opened[0], window_to=opened[1], **counted)
        return state, still


@dataclass(frozen=True, slots=True)
class _Job:
    """What all sends of one chunk have in common."""

    lease: Lease
    stored: StoredAlert
    group: Group


@dataclass(frozen=True, slots=True)
class _Done:
    """One window's outcomes.

    Attributes:
        dead: Addresses that must not be used again, by reason.
    """

    outcome_rows: Sequence[OutcomeRow] = ()
    dead: Mapping[str, Sequence[int]] = field(default_factory=dict)

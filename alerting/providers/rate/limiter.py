"""Rate limiter: decides when each send of this event loop may go, reserving in batches.

Each queue (one tenant's sends in one lane to one sender) reserves for everything that waits in it
and sets a timer for each granted send. It reserves again shortly before the last of these, so that
no instant is lost to the round trip.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from alerting.background import end
from alerting.domain.lane import Lane
from alerting.errors import Unavailable
from alerting.observe.logs import logger
from alerting.providers.rate.contract import HIGH, Grant, Rate, RateStore
from alerting.providers.rate.memory_rates import MemoryRateStore

log = logger(__name__)

#: How long a reservation may wait for Redis. Severe and above then use this process's own share;
#: other lanes only lose time by waiting longer, and keep to the total over all workers.
TIMEOUT_HIGH_S = 0.05
TIMEOUT_LOW_S = 1.0

#: An instant that passed longer ago than this is not used: later sends have theirs.
LATE_S = 0.015

#: How long before its last instant a queue reserves again.
AHEAD_S = 0.01

#: A waiting queue asks at least this often, to stay active.
POLL_S = 0.25

#: How long Redis is not asked after it did not answer.
AWAY_S = 1.0

#: The part of its share that a worker uses while it cannot ask Redis.
ALONE_SHARE = 0.8

#: The shortest times between two reports of a success and of a 429.
REPORT_SUCCESS_S = 1.0
REPORT_THROTTLED_S = 0.1

_Key: TypeAlias = tuple[str, Lane, str]


@dataclass(slots=True, eq=False)
class _Wait:
    """One waiting send: for a grant, then for its instant."""

    cost: int
    done: asyncio.Future[None]
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Sender:
    """What this process knows of a sender."""

    epoch: int | None = None
    epoch_at_s: float = float("-inf")
    workers: int = 0
    away_until_s: float = float("-inf")
    away: bool = False
    success_at_s: float = float("-inf")
    throttled_at_s: float = float("-inf")
    queues: dict[tuple[Lane, str], _Queue] = field(default_factory=dict)
    listening: asyncio.Task[None] | None = None


class _Queue:
    """The sends of one tenant in one lane to one sender, first in, first out."""

    def __init__(self, reserve: Callable[[_Queue], asyncio.Task[None]], rate: Rate) -> None:
        self.rate = rate
        self.waiting: deque[_Wait] = deque()
        # In order of their instants.
        self.granted: dict[_Wait, float] = {}
        self._reserve = reserve
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()

    def add(self, wait: _Wait) -> None:
        self.waiting.append(wait)
        self.start()

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._task = self._reserve(self)

    def void_grants(self) -> None:
        """Void all grants: their sends wait again, ahead of the others."""
        for wait in reversed(self.granted):
            if wait.timer is not None:
                wait.timer.cancel()
            if not wait.done.done():
                self.waiting.appendleft(wait)
        self.granted.clear()
        self._woken.set()
        if self.waiting:
            self.start()

    def missed(self, wait: _Wait) -> None:
        """The send missed its instant: it waits again, ahead of those without a grant."""
        self.waiting.appendleft(wait)
        self._woken.set()
        self.start()

    async def sleep(self, seconds: float) -> None:
        """Sleep, or wake when a grant was voided."""
        self._woken.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    def fail(self, error: Exception) -> None:
        """Fail every send in this queue."""
        for wait in (*self.granted, *self.waiting):
            if wait.timer is not None:
                wait.timer.cancel()
            if not wait.done.done():
                wait.done.set_exception(error)
        self.granted.clear()
        self.waiting.clear()

    async def close(self) -> None:
        if self._task is not None:
            await end(self._task)
        self.fail(Unavailable("The rate limiter is closed."))


class RateLimiter:
    """Lets sends go at the rate that all workers share. Lives on one event loop.

    store: usually RedisRateStore. While it is unavailable this process uses its own share: a
    little less than the rate divided by the last known number of workers. assumed_workers: that
    number until it is known. timeout_high_s, timeout_low_s: how long a reservation may wait for
    Redis, for Severe and above, and below. now_s: a monotonic clock.
    """

    def __init__(
        self,
        store: RateStore,
        *,
        assumed_workers: int = 8,
        timeout_high_s: float = TIMEOUT_HIGH_S,
        timeout_low_s: float = TIMEOUT_LOW_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._assumed_workers = assumed_workers
        self._timeout_high_s = timeout_high_s
        self._timeout_low_s = timeout_low_s
        self._now_s = now_s
        self._fallback = MemoryRateStore(now_s)
        self._senders: dict[str, _Sender] = {}
        self._reports: set[asyncio.Task[None]] = set()
        self._closed = False

    async def acquire(self, sender: str, lane: Lane, tenant: str, cost: int, rate: Rate) -> None:
        """Return when this send may go, as a rule within its own instant.

        cost: its tokens, at least 1: SMS segments, or 1. A sender without a rate never waits. A
        cancelled send gives its place to those behind it. Raises Unavailable when the limiter
        closes.
        """
        if rate.per_second <= 0:
            return
        if self._closed:
            raise Unavailable("The rate limiter is closed.")
        known = self._senders.setdefault(sender, _Sender())
        queue = known.queues.get((lane, tenant))
        if queue is None:
            key = (sender, lane, tenant)
            queue = _Queue(lambda own: asyncio.create_task(self._drain(own, known, key)), rate)
            known.queues[lane, tenant] = queue
        if known.listening is None:
            known.listening = asyncio.create_task(self._listen(sender, known))
        queue.rate = rate
        wait = _Wait(max(cost, 1), asyncio.get_running_loop().create_future())
        queue.add(wait)
        await wait.done

    async def report(
        self, sender: str, rate: Rate, *, throttled: bool, retry_after_s: float | None
    ) -> None:
        """Report the provider's answer to one send. Never waits and never fails.

        throttled: the provider refused because of the rate. Any other answer is a success.
        """
        if rate.per_second <= 0 or self._closed:
            return
        known, now = self._senders.setdefault(sender, _Sender()), self._now_s()
        if throttled:
            if now - known.throttled_at_s < REPORT_THROTTLED_S:
                return
            known.throttled_at_s = now
            if retry_after_s is not None and retry_after_s > 0:
                self._void_grants(known)
        else:
            if now - known.success_at_s < REPORT_SUCCESS_S:
                return
            known.success_at_s = now
        self._fallback.note(sender, rate, throttled=throttled, retry_after_s=retry_after_s)
        task = asyncio.create_task(self._report(sender, rate, throttled, retry_after_s))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def close(self) -> None:
        """End everything; waiting sends get Unavailable."""
        self._closed = True
        for known in self._senders.values():
            if known.listening is not None:
                await end(known.listening)
            for queue in list(known.queues.values()):
                await queue.close()
        await end(*self._reports)
        self._senders.clear()

    async def _report(
        self, sender: str, rate: Rate, throttled: bool, retry_after_s: float | None
    ) -> None:
        try:
            await self._store.report(
                sender,
                rate,
                throttled=throttled,
                retry_after_s=retry_after_s,
                timeout_s=self._timeout_low_s,
            )
        except Unavailable as e:
            log.debug("rate.report_lost", sender=sender, error=e.detail)

    async def _listen(self, sender: str, known: _Sender) -> None:
        """Void grants as soon as a new epoch is published."""
        while True:
            try:
                async with contextlib.aclosing(self._store.epochs(sender)) as epochs:
                    async for epoch in epochs:
                        if known.epoch is None or epoch > known.epoch:
                            self._begin(known, epoch)
            except Unavailable as e:
                log.debug("rate.subscription_lost", sender=sender, error=e.detail)
            await asyncio.sleep(AWAY_S)

    async def _drain(self, queue: _Queue, known: _Sender, key: _Key) -> None:
        try:
            await self._reserve_all(queue, known, key)
        except Exception as e:
            # Nothing may wait in a queue that has stopped.
            queue.fail(e)
        finally:
            self._drop_if_empty(queue, known, key)

    async def _reserve_all(self, queue: _Queue, known: _Sender, key: _Key) -> None:
        """Reserve until nothing waits in the queue."""
        while True:
            while queue.waiting and queue.waiting[0].done.done():
                queue.waiting.popleft()
            if not queue.waiting:
                return
            grant = await self._reserve(queue, known, key)
            if grant.granted == 0:
                await queue.sleep(min(max(grant.wait_s, 0.001), POLL_S))
                continue
            last_s = self._assign(queue, known, key, grant)
            if queue.waiting:
                await queue.sleep(last_s - self._now_s() - AHEAD_S)

    async def _reserve(self, queue: _Queue, known: _Sender, key: _Key) -> Grant:
        """A grant for the waiting sends: from the shared rate, else from this process's share."""
        sender, lane, tenant = key
        open_ = [wait.cost for wait in queue.waiting if not wait.done.done()]
        tokens, unit, rate = sum(open_), max(open_, default=1), queue.rate
        asked_s = self._now_s()
        if known.away_until_s <= asked_s:
            urgent = lane in HIGH or known.away
            timeout_s = self._timeout_high_s if urgent else self._timeout_low_s
            try:
                grant = await self._store.reserve(
                    sender, lane, tenant, tokens, rate, unit=unit, timeout_s=timeout_s
                )
            except Unavailable as e:
                known.away, known.away_until_s = True, self._now_s() + AWAY_S
                log.warning(
                    "rate.local_fallback", sender=sender, workers=known.workers, error=e.detail
                )
            else:
                known.away, known.workers = False, grant.workers
                return self._accept(known, lane, grant, asked_s)
        workers = max(known.workers or self._assumed_workers, 1)
        part = Rate(rate.per_second * ALONE_SHARE / workers, rate.horizon_s, rate.severe_share)
        return self._fallback.decide(sender, lane, tenant, tokens, part, unit=unit)

    def _accept(self, known: _Sender, lane: Lane, grant: Grant, asked_s: float) -> Grant:
        """Void grants of an older epoch; returns what this grant is still worth."""
        if known.epoch == grant.epoch:
            return grant
        if known.epoch is not None and asked_s <= known.epoch_at_s:
            # A later request was answered first.
            return grant if lane in HIGH else replace(grant, granted=0)
        self._begin(known, grant.epoch)
        return grant

    def _assign(self, queue: _Queue, known: _Sender, key: _Key, grant: Grant) -> float:
        """Assign the granted instants to the waiting sends, in order; returns the last instant.

        A send takes as many instants as it costs and goes at the first. When fewer are left than
        the next send needs, a later and smaller one may take them; else they are lost.
        """
        loop = asyncio.get_running_loop()
        now_s = self._now_s()
        first_s = now_s + grant.start_in_s
        taken = 0
        passed: list[_Wait] = []
        while queue.waiting and taken < grant.granted:
            wait = queue.waiting.popleft()
            if wait.done.done():
                continue
            if wait.cost > grant.granted - taken:
                passed.append(wait)
                continue
            at = first_s + taken * grant.interval_s
            taken += wait.cost
            queue.granted[wait] = at
            wait.timer = loop.call_later(max(at - now_s, 0), self._release, queue, known, key, wait)
        queue.waiting.extendleft(reversed(passed))
        return first_s + grant.granted * grant.interval_s

    def _release(self, queue: _Queue, known: _Sender, key: _Key, wait: _Wait) -> None:
        at = queue.granted.pop(wait)
        if wait.done.done():
            pass
        elif self._now_s() - at > LATE_S:
            queue.missed(wait)
        else:
            wait.done.set_result(None)
        self._drop_if_empty(queue, known, key)

    def _drop_if_empty(self, queue: _Queue, known: _Sender, key: _Key) -> None:
        if not queue.granted and not queue.waiting and known.queues.get(key[1:]) is queue:
            del known.queues[key[1:]]

    def _begin(self, known: _Sender, epoch: int) -> None:
        known.epoch, known.epoch_at_s = epoch, self._now_s()
        self._void_grants(known)

    def _void_grants(self, known: _Sender) -> None:
        """Void all grants below Severe."""
        for (lane, _), queue in list(known.queues.items()):
            if lane not in HIGH:
                queue.void_grants()

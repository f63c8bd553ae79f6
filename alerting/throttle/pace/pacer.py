"""When may this send go? What waits on one event loop, reserved for in batches.

Each line, which is one tenant's sends in one lane to one sender, asks for all that wait in it and
sets a timer for each that was granted. It asks again a little before the last of these, so that
no instant is lost to the asking.
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
from alerting.throttle.pace import HIGH, Grant, Pace, Rate
from alerting.throttle.pace.memory import MemoryPace

log = logger(__name__)

#: How long a reservation may wait for Redis. A grave alert then goes by this process's own rate;
#: others lose nothing but time by waiting longer, and keep to the sum over all workers.
TIMEOUT_HIGH_S = 0.05
TIMEOUT_LOW_S = 1.0

#: An instant that is over by more than this is not used: later sends have theirs.
LATE_S = 0.015

#: So long before its last instant a line asks for more.
AHEAD_S = 0.01

#: Who waits asks this often, or the others would think it gone.
POLL_S = 0.25

#: So long Redis is left alone after it did not answer.
AWAY_S = 1.0

#: What a worker takes of its part of the rate while it cannot ask the others.
ALONE_SHARE = 0.8

#: A success is worth telling so often, a 429 so often.
TELL_SUCCESS_S = 1.0
TELL_THROTTLED_S = 0.1

_Key: TypeAlias = tuple[str, Lane, str]


@dataclass(slots=True, eq=False)
class _Wait:
    """One send that waits: for a grant, then for its instant."""

    cost: int
    done: asyncio.Future[None]
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Sender:
    """What this process knows of a sender."""

    epoch: int | None = None
    epoch_heard_s: float = float("-inf")
    workers: int = 0
    away_until_s: float = float("-inf")
    away: bool = False
    told_success_s: float = float("-inf")
    told_throttled_s: float = float("-inf")
    lines: dict[tuple[Lane, str], _Line] = field(default_factory=dict)
    listening: asyncio.Task[None] | None = None


class _Line:
    """The sends of one tenant in one lane to one sender, in order."""

    def __init__(self, reserve: Callable[[_Line], asyncio.Task[None]], rate: Rate) -> None:
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

    def take_back(self) -> None:
        """What is granted must not be used: it waits again, before all others."""
        for wait in reversed(self.granted):
            if wait.timer is not None:
                wait.timer.cancel()
            if not wait.done.done():
                self.waiting.appendleft(wait)
        self.granted.clear()
        self._woken.set()
        if self.waiting:
            self.start()

    def too_late(self, wait: _Wait) -> None:
        """Its instant is over: it waits again, before all that have none."""
        self.waiting.appendleft(wait)
        self._woken.set()
        self.start()

    async def sleep(self, seconds: float) -> None:
        """Sleep, or wake when something was taken back."""
        self._woken.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    def fail(self, error: Exception) -> None:
        """Nobody in this line gets a turn any more."""
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
        self.fail(Unavailable("The pacer is closed."))


class Pacer:
    """Lets sends go at the rate that all workers share. For one event loop.

    pace: usually RedisPace. While it is unavailable this process keeps to its own part of the
    rate: the rate divided by the workers last known, and a little less. assumed_workers: how many
    there are until they are known. timeout_high_s and timeout_low_s: how long a reservation may
    wait for Redis, for Severe and above and below. now_s: a clock that only goes forward.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        assumed_workers: int = 8,
        timeout_high_s: float = TIMEOUT_HIGH_S,
        timeout_low_s: float = TIMEOUT_LOW_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pace = pace
        self._assumed_workers = assumed_workers
        self._timeout_high_s = timeout_high_s
        self._timeout_low_s = timeout_low_s
        self._now_s = now_s
        self._alone = MemoryPace(now_s)
        self._senders: dict[str, _Sender] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._closed = False

    async def turn(self, sender: str, lane: Lane, tenant: str, cost: int, rate: Rate) -> None:
        """Return when this send may go, as a rule within its own instant.

        cost: its tokens, at least 1: SMS segments, or 1. A sender without a rate never waits. Who
        is cancelled while waiting leaves its place to those behind it. Raises Unavailable when
        the pacer closes.
        """
        if rate.per_second <= 0:
            return
        if self._closed:
            raise Unavailable("The pacer is closed.")
        known = self._senders.setdefault(sender, _Sender())
        line = known.lines.get((lane, tenant))
        if line is None:
            key = (sender, lane, tenant)
            line = _Line(lambda own: asyncio.create_task(self._drain(own, known, key)), rate)
            known.lines[lane, tenant] = line
        if known.listening is None:
            known.listening = asyncio.create_task(self._listen(sender, known))
        line.rate = rate
        wait = _Wait(max(cost, 1), asyncio.get_running_loop().create_future())
        line.add(wait)
        await wait.done

    async def said(
        self, sender: str, rate: Rate, *, throttled: bool, retry_after_s: float | None
    ) -> None:
        """Take in the provider's answer to one send. Never waits and never fails.

        throttled: the provider refused because it was too much. Any other answer of a provider
        that is there is a success.
        """
        if rate.per_second <= 0 or self._closed:
            return
        known, now = self._senders.setdefault(sender, _Sender()), self._now_s()
        if throttled:
            if now - known.told_throttled_s < TELL_THROTTLED_S:
                return
            known.told_throttled_s = now
            if retry_after_s is not None and retry_after_s > 0:
                self._take_back(known)
        else:
            if now - known.told_success_s < TELL_SUCCESS_S:
                return
            known.told_success_s = now
        self._alone.note(sender, rate, throttled=throttled, retry_after_s=retry_after_s)
        task = asyncio.create_task(self._tell(sender, rate, throttled, retry_after_s))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """End everything; who still waits is cancelled."""
        self._closed = True
        for known in self._senders.values():
            if known.listening is not None:
                await end(known.listening)
            for line in list(known.lines.values()):
                await line.close()
        await end(*self._telling)
        self._senders.clear()

    async def _tell(
        self, sender: str, rate: Rate, throttled: bool, retry_after_s: float | None
    ) -> None:
        try:
            await self._pace.report(
                sender,
                rate,
                throttled=throttled,
                retry_after_s=retry_after_s,
                timeout_s=self._timeout_low_s,
            )
        except Unavailable as e:
            log.debug("pace.report_lost", sender=sender, error=e.detail)

    async def _listen(self, sender: str, known: _Sender) -> None:
        """Take granted instants back the moment they become void."""
        while True:
            try:
                async with contextlib.aclosing(self._pace.epochs(sender)) as epochs:
                    async for epoch in epochs:
                        if known.epoch is None or epoch > known.epoch:
                            self._begin(known, epoch)
            except Unavailable as e:
                log.debug("pace.deaf", sender=sender, error=e.detail)
            await asyncio.sleep(AWAY_S)

    async def _drain(self, line: _Line, known: _Sender, key: _Key) -> None:
        try:
            await self._reserve_all(line, known, key)
        except Exception as e:
            # Nobody may wait for a line that has stopped.
            line.fail(e)
        finally:
            self._drop_if_empty(line, known, key)

    async def _reserve_all(self, line: _Line, known: _Sender, key: _Key) -> None:
        """Reserve for what waits in the line until nothing does."""
        while True:
            while line.waiting and line.waiting[0].done.done():
                line.waiting.popleft()
            if not line.waiting:
                return
            grant = await self._reserve(line, known, key)
            if grant.granted == 0:
                await line.sleep(min(max(grant.wait_s, 0.001), POLL_S))
                continue
            last_s = self._assign(line, known, key, grant)
            if line.waiting:
                await line.sleep(last_s - self._now_s() - AHEAD_S)

    async def _reserve(self, line: _Line, known: _Sender, key: _Key) -> Grant:
        """A grant for what waits, by the shared rate or else by this process's own part of it."""
        sender, lane, tenant = key
        open_ = [wait.cost for wait in line.waiting if not wait.done.done()]
        tokens, unit, rate = sum(open_), max(open_, default=1), line.rate
        asked_s = self._now_s()
        if known.away_until_s <= asked_s:
            hurry = lane in HIGH or known.away
            timeout_s = self._timeout_high_s if hurry else self._timeout_low_s
            try:
                grant = await self._pace.reserve(
                    sender, lane, tenant, tokens, rate, unit=unit, timeout_s=timeout_s
                )
            except Unavailable as e:
                known.away, known.away_until_s = True, self._now_s() + AWAY_S
                log.warning("pace.alone", sender=sender, workers=known.workers, error=e.detail)
            else:
                known.away, known.workers = False, grant.workers
                return self._heard(known, lane, grant, asked_s)
        workers = max(known.workers or self._assumed_workers, 1)
        part = Rate(rate.per_second * ALONE_SHARE / workers, rate.horizon_s, rate.severe_share)
        return self._alone.decide(sender, lane, tenant, tokens, part, unit=unit)

    def _heard(self, known: _Sender, lane: Lane, grant: Grant, asked_s: float) -> Grant:
        """Stop using what an older epoch granted; what is left of this grant."""
        if known.epoch == grant.epoch:
            return grant
        if known.epoch is not None and asked_s <= known.epoch_heard_s:
            # The reply was overtaken by that to a later question.
            return grant if lane in HIGH else replace(grant, granted=0)
        self._begin(known, grant.epoch)
        return grant

    def _assign(self, line: _Line, known: _Sender, key: _Key, grant: Grant) -> float:
        """Give the granted instants to those that wait, in order; say when the last one is.

        A send takes as many instants as it costs and goes at the first. Where fewer are left than
        the next one needs, a later and smaller one may have them; else they are lost.
        """
        loop = asyncio.get_running_loop()
        now_s = self._now_s()
        first_s = now_s + grant.start_in_s
        taken = 0
        passed: list[_Wait] = []
        while line.waiting and taken < grant.granted:
            wait = line.waiting.popleft()
            if wait.done.done():
                continue
            if wait.cost > grant.granted - taken:
                passed.append(wait)
                continue
            at = first_s + taken * grant.interval_s
            taken += wait.cost
            line.granted[wait] = at
            wait.timer = loop.call_later(max(at - now_s, 0), self._release, line, known, key, wait)
        line.waiting.extendleft(reversed(passed))
        return first_s + grant.granted * grant.interval_s

    def _release(self, line: _Line, known: _Sender, key: _Key, wait: _Wait) -> None:
        at = line.granted.pop(wait)
        if wait.done.done():
            pass
        elif self._now_s() - at > LATE_S:
            line.too_late(wait)
        else:
            wait.done.set_result(None)
        self._drop_if_empty(line, known, key)

    def _drop_if_empty(self, line: _Line, known: _Sender, key: _Key) -> None:
        if not line.granted and not line.waiting and known.lines.get(key[1:]) is line:
            del known.lines[key[1:]]

    def _begin(self, known: _Sender, epoch: int) -> None:
        known.epoch, known.epoch_heard_s = epoch, self._now_s()
        self._take_back(known)

    def _take_back(self, known: _Sender) -> None:
        """What is granted below Severe must not be used any more."""
        for (lane, _), line in list(known.lines.items()):
            if lane not in HIGH:
                line.take_back()

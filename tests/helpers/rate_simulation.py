"""Workers on a clock of their own: hours pass in no time, and every run is the same."""

from __future__ import annotations

import asyncio
import selectors
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from alerting.domain.lane import Lane
from alerting.providers.rate.contract import Grant, Rate
from alerting.providers.rate.limiter import RateLimiter
from alerting.providers.rate.memory_rates import MemoryRateStore

T = TypeVar("T")

EXTREME, SEVERE, ROUTINE, DRILL = Lane.EXTREME, Lane.SEVERE, Lane.ROUTINE, Lane.DRILL


class _Leaping(selectors.DefaultSelector):
    """Where there is nothing to do until an instant, it is that instant at once."""

    now_s = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now_s += timeout
        if not ready and timeout is None:
            raise RuntimeError("everyone waits for ever")
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock leaps."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now_s

    def freeze(self, seconds: float) -> None:
        """Let time pass in which nothing runs, as when the process stands still."""
        self._leaping.now_s += seconds


def simulate(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(make())


def now_s() -> float:
    return asyncio.get_running_loop().time()


class RemoteRateStore:
    """A store that takes a moment to answer, as over a network."""

    def __init__(self, store: MemoryRateStore, worker: str, delays_s: Iterator[float]) -> None:
        self._store = store
        self._worker = worker
        self._delays_s = delays_s
        self.calls = 0

    async def reserve(
        self,
        sender: str,
        lane: Lane,
        tenant: str,
        tokens: int,
        rate: Rate,
        *,
        unit: int = 1,
        timeout_s: float | None = None,
    ) -> Grant:
        self.calls += 1
        await asyncio.sleep(next(self._delays_s))
        grant = self._store.decide(
            sender, lane, tenant, tokens, rate, unit=unit, worker=self._worker
        )
        back_s = next(self._delays_s)
        await asyncio.sleep(back_s)
        return Grant(
            grant.epoch,
            grant.granted,
            grant.start_in_s - back_s,
            grant.interval_s,
            grant.wait_s,
            grant.workers,
        )

    async def report(
        self,
        sender: str,
        rate: Rate,
        *,
        throttled: bool,
        retry_after_s: float | None = None,
        timeout_s: float | None = None,
    ) -> None:
        await asyncio.sleep(next(self._delays_s))
        self._store.note(sender, rate, throttled=throttled, retry_after_s=retry_after_s)

    async def epochs(self, sender: str) -> AsyncGenerator[int, None]:
        async for epoch in self._store.epochs(sender):
            await asyncio.sleep(next(self._delays_s))
            yield epoch


@dataclass
class Provider:
    """Takes what it is sent and notes when. Above `limit` in a second it says 429."""

    limit: float = float("inf")
    retry_after_s: float | None = None
    sent: list[tuple[float, str, int]] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def send(self, who: str, cost: int = 1) -> bool:
        now = now_s()
        self.sent.append((now, who, cost))
        recent = len(self.accepted) - bisect_right(self.accepted, now - 1)
        if recent + 1 > self.limit:
            self.refused.append(now)
            return False
        self.accepted.append(now)
        return True

    def tokens(self, start: float, end: float, who: str = "") -> int:
        return sum(c for at, w, c in self.sent if start <= at < end and w.startswith(who))

    def by(self, start: float, end: float) -> Counter[str]:
        count: Counter[str] = Counter()
        for at, who, cost in self.sent:
            if start <= at < end:
                count[who] += cost
        return count

    def most_in_a_second(self, start: float = 0.0) -> int:
        """The most tokens in any window of a second."""
        most = held = first = 0
        sent = [s for s in self.sent if s[0] >= start]
        for at, _, cost in sent:
            held += cost
            # Not quite a second: instants are rounded.
            while sent[first][0] <= at - 1 + 1e-6:
                held -= sent[first][2]
                first += 1
            most = max(most, held)
        return most


@dataclass
class WorkerGroup:
    """Workers that share one store and one provider."""

    limiters: list[RateLimiter]
    stores: list[RemoteRateStore]
    shared: MemoryRateStore
    provider: Provider
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def keep_sending(
        self,
        worker: int,
        lane: Lane,
        rate: Rate,
        *,
        tenant: str = "t",
        at_once: int = 64,
        cost: Callable[[], int] = lambda: 1,
        count: int | None = None,
    ) -> None:
        """So many sends at once, each followed by the next: for ever, or `count` in all."""
        left = [count]

        async def one_after_another() -> None:
            while left[0] is None or left[0] > 0:
                if left[0] is not None:
                    left[0] -= 1
                tokens = cost()
                await self.limiters[worker].acquire("sms", lane, tenant, tokens, rate)
                good = self.provider.send(f"{lane.value}/{tenant}/{worker}", tokens)
                await self.limiters[worker].report(
                    "sms",
                    rate,
                    throttled=not good,
                    retry_after_s=None if good else self.provider.retry_after_s,
                )

        self.tasks += [asyncio.create_task(one_after_another()) for _ in range(at_once)]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for limiter in self.limiters:
            await limiter.close()


def worker_group(
    workers: int,
    *,
    provider: Provider | None = None,
    delays_s: Callable[[], float] = lambda: 0.0005,
) -> WorkerGroup:
    """Workers on the running loop's clock."""
    shared = MemoryRateStore(now_s)
    delays = iter(delays_s, -1.0)
    stores = [RemoteRateStore(shared, str(n), delays) for n in range(workers)]
    limiters = [RateLimiter(store, now_s=now_s) for store in stores]
    return WorkerGroup(limiters, stores, shared, provider or Provider())

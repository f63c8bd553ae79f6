"""The limiter by itself: turns in order, late instants, a Redis that is away, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest
from rate_simulation import EXTREME, ROUTINE, SEVERE, now_s, simulate

from alerting.domain.lane import Lane
from alerting.errors import Unavailable
from alerting.providers.rate.contract import HEADROOM, Grant, Rate
from alerting.providers.rate.limiter import ALONE_SHARE, TIMEOUT_HIGH_S, RateLimiter
from alerting.providers.rate.memory_rates import MemoryRateStore

RATE = Rate(100)


@dataclass
class Scripted:
    """A store that is there or not, and counts."""

    gone: bool = False
    silent: bool = False
    workers: int = 4
    calls: int = 0
    reports: list[bool] = field(default_factory=list)
    heard: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    late_s: float = 0.0

    def __post_init__(self) -> None:
        self.memory = MemoryRateStore(now_s)

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
        if self.silent:
            await asyncio.sleep(timeout_s or 0)
        if self.gone or self.silent:
            raise Unavailable("It is gone.")
        grant = self.memory.decide(sender, lane, tenant, tokens, rate, unit=unit)
        late_s = self.late_s
        await asyncio.sleep(late_s)
        return Grant(
            grant.epoch,
            grant.granted,
            grant.start_in_s - late_s,
            grant.interval_s,
            grant.wait_s,
            self.workers,
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
        if self.gone:
            raise Unavailable("It is gone.")
        self.reports.append(throttled)

    async def epochs(self, sender: str) -> AsyncGenerator[int, None]:
        while True:
            yield await self.heard.get()


async def take(
    limiter: RateLimiter, count: int, lane: Lane = ROUTINE, rate: Rate = RATE
) -> list[float]:
    """When each of so many sends that wait together had its turn, from now."""
    begun, times = now_s(), []

    async def one() -> None:
        await limiter.acquire("sms", lane, "t", 1, rate)
        times.append(now_s() - begun)

    await asyncio.gather(*(one() for _ in range(count)))
    return times


def test_limiter_grants_in_order_at_the_interval() -> None:
    async def run() -> None:
        limiter = RateLimiter(Scripted(), now_s=now_s)
        order: list[int] = []

        async def one(n: int) -> None:
            await limiter.acquire("sms", ROUTINE, "t", 1, RATE)
            order.append(n)

        begun = now_s()
        await asyncio.gather(*(one(n) for n in range(50)))
        assert order == list(range(50))
        assert now_s() - begun == pytest.approx(49 / 100 / HEADROOM, abs=0.01)
        await limiter.close()

    simulate(run)


def test_limiter_without_rate_calls_no_store() -> None:
    async def run() -> None:
        store = Scripted(gone=True)
        limiter = RateLimiter(store, now_s=now_s)
        assert await take(limiter, 1_000, rate=Rate(0)) == [0] * 1_000
        await limiter.report("sms", Rate(0), throttled=True, retry_after_s=9)
        assert store.calls == 0
        await limiter.close()

    simulate(run)


def test_limiter_frees_place_of_cancelled_caller() -> None:
    async def run() -> None:
        limiter = RateLimiter(Scripted(), now_s=now_s)
        waiting = [asyncio.create_task(take(limiter, 1)) for _ in range(100)]
        await asyncio.sleep(0.005)
        for task in waiting[5:95]:
            task.cancel()
        begun = now_s()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert now_s() - begun < 0.2
        await limiter.close()

    simulate(run)


def test_limiter_grants_message_above_the_horizon() -> None:
    async def run() -> None:
        limiter = RateLimiter(Scripted(), now_s=now_s)
        begun = now_s()
        for _ in range(3):
            await limiter.acquire("sms", ROUTINE, "t", 5, Rate(2))
        assert now_s() - begun == pytest.approx(10 / 2 / HEADROOM, abs=0.3)
        await limiter.close()

    simulate(run)


def test_limiter_drops_instants_that_have_passed() -> None:
    """A reply that took long: what was granted is gone, and nobody sends at once to make up."""

    async def run() -> None:
        store = Scripted(late_s=0.1)
        limiter = RateLimiter(store, now_s=now_s)
        waiting = asyncio.create_task(take(limiter, 3))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        store.late_s = 0.001
        times = await waiting
        assert times == sorted(set(times))
        assert times[2] - times[0] > 0.01
        await limiter.close()

    simulate(run)


def test_limiter_without_redis_keeps_to_its_share() -> None:
    async def run() -> None:
        store = Scripted(workers=4)
        limiter = RateLimiter(store, now_s=now_s)
        await take(limiter, 20)
        store.gone = True
        times = await take(limiter, 60)
        part = 100 / 4 * ALONE_SHARE
        assert times[-1] == pytest.approx(60 / part, rel=0.1)
        store.gone = False
        await take(limiter, 40)
        assert (await take(limiter, 50))[-1] == pytest.approx(0.5, rel=0.1)
        await limiter.close()

    simulate(run)


def test_limiter_before_first_contact_assumes_several_workers() -> None:
    async def run() -> None:
        limiter = RateLimiter(Scripted(gone=True), assumed_workers=2, now_s=now_s)
        assert (await take(limiter, 41))[-1] == pytest.approx(1, rel=0.1)
        await limiter.close()

    simulate(run)


@pytest.mark.parametrize("lane", [EXTREME, SEVERE])
def test_limiter_waits_briefly_for_redis_when_severe(lane: Lane) -> None:
    async def run() -> None:
        store = Scripted(silent=True)
        limiter = RateLimiter(store, now_s=now_s)
        (first,) = await take(limiter, 1, lane)
        assert first == pytest.approx(TIMEOUT_HIGH_S, abs=0.001)
        assert store.calls == 1
        times = await take(limiter, 5, lane)
        # Redis is not asked again for each of them.
        assert times[0] < 0.15
        assert store.calls == 1
        await limiter.close()

    simulate(run)


def test_limiter_new_epoch_voids_grants_below_severe_only() -> None:
    async def run() -> None:
        store = Scripted()
        limiter = RateLimiter(store, now_s=now_s)
        slow = Rate(20)
        await take(limiter, 1, ROUTINE, slow)
        low = asyncio.create_task(take(limiter, 1, ROUTINE, slow))
        await asyncio.sleep(0.01)
        calls = store.calls
        await store.heard.put(5)
        await asyncio.sleep(0.001)
        assert store.calls > calls
        await low
        high = asyncio.create_task(take(limiter, 3, EXTREME, slow))
        await asyncio.sleep(0.01)
        calls = store.calls
        await store.heard.put(9)
        await asyncio.sleep(0.001)
        assert store.calls == calls
        await high
        await limiter.close()

    simulate(run)


def test_limiter_reports_answers_rarely() -> None:
    async def run() -> None:
        store = Scripted()
        limiter = RateLimiter(store, now_s=now_s)
        for _ in range(200):
            await limiter.report("sms", RATE, throttled=False, retry_after_s=None)
            await asyncio.sleep(0.01)
        assert 1 <= len(store.reports) <= 3
        store.reports.clear()
        for _ in range(64):
            await limiter.report("sms", RATE, throttled=True, retry_after_s=1)
        await asyncio.sleep(0.01)
        assert store.reports == [True]
        await limiter.close()

    simulate(run)


def test_limiter_respects_429_without_redis() -> None:
    async def run() -> None:
        limiter = RateLimiter(Scripted(gone=True), assumed_workers=1, now_s=now_s)
        await take(limiter, 5)
        await limiter.report("sms", RATE, throttled=True, retry_after_s=3)
        assert (await take(limiter, 1))[0] >= 3
        await limiter.close()

    simulate(run)


def test_limiter_close_wakes_waiting_callers() -> None:
    async def run() -> None:
        limiter = RateLimiter(Scripted(), now_s=now_s)
        waiting = asyncio.create_task(take(limiter, 500))
        await asyncio.sleep(0.1)
        await limiter.close()
        with pytest.raises(Unavailable, match="closed"):
            await waiting
        with pytest.raises(Unavailable, match="closed"):
            await limiter.acquire("sms", ROUTINE, "t", 1, RATE)
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == 1

    simulate(run)


def test_limiter_error_reaches_waiting_callers() -> None:
    class Faulty(Scripted):
        async def reserve(self, *words: object, **more: object) -> Grant:
            raise KeyError("a fault")

    async def run() -> None:
        limiter = RateLimiter(Faulty(), now_s=now_s)
        with pytest.raises(KeyError):
            await take(limiter, 1)
        await limiter.close()

    simulate(run)

"""Many workers at one provider, hours of it, on a simulated clock."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest
from rate_simulation import (
    DRILL,
    EXTREME,
    ROUTINE,
    SEVERE,
    Provider,
    SimulatedLoop,
    now_s,
    simulate,
    worker_group,
)

from alerting.domain.lane import Lane
from alerting.providers.rate.contract import HEADROOM, Rate


def jittery(seed: int) -> Callable[[], float]:
    chance = random.Random(seed)
    return lambda: chance.uniform(0.0002, 0.004)


@pytest.mark.parametrize("lane", [ROUTINE, SEVERE])
@pytest.mark.parametrize(
    ("workers", "per_second"), [(1, 1_000), (8, 1_000), (8, 100), (8, 7), (32, 2_000)]
)
def test_rate_is_kept_and_used_in_every_second(workers: int, per_second: float, lane: Lane) -> None:
    async def run() -> None:
        rate = Rate(per_second)
        group = worker_group(workers, delays_s=jittery(workers))
        for worker in range(workers):
            group.keep_sending(worker, lane, rate)
        begun, seconds = now_s(), 4 + 20 / per_second
        await asyncio.sleep(seconds)
        await group.stop()
        provider = group.provider
        assert provider.most_in_a_second() <= per_second * 1.01
        used = provider.tokens(begun, begun + seconds)
        assert used >= 0.95 * per_second * seconds

    simulate(run)


def test_segments_count_separately() -> None:
    chance = random.Random(1)

    async def run() -> None:
        group = worker_group(8, delays_s=jittery(2))
        for worker in range(8):
            group.keep_sending(
                worker, ROUTINE, Rate(500), cost=lambda: chance.choice([1, 1, 2, 3, 5])
            )
        begun = now_s()
        await asyncio.sleep(5)
        await group.stop()
        assert group.provider.most_in_a_second() <= 505
        assert group.provider.tokens(begun, begun + 5) >= 0.95 * 2_500

    simulate(run)


@pytest.mark.parametrize("count", [20, 200, 2_000])
def test_extreme_overtakes_at_once_within_the_rate(count: int) -> None:
    async def run() -> None:
        rate = Rate(1_000)
        group = worker_group(8, delays_s=jittery(count))
        for worker in range(8):
            group.keep_sending(worker, ROUTINE if worker % 2 else DRILL, rate)
        await asyncio.sleep(2)
        begun = now_s()
        group.keep_sending(0, EXTREME, rate, count=count // 2)
        group.keep_sending(5, EXTREME, rate, count=count // 2)
        await asyncio.sleep(4)
        await group.stop()
        provider = group.provider
        grave = [at for at, who, _ in provider.sent if who.startswith("extreme")]
        assert len(grave) == count
        assert grave[0] - begun <= 0.02
        assert grave[-1] - begun <= count / 1_000 / HEADROOM + 0.05
        assert provider.most_in_a_second() <= 1_010

    simulate(run)


def test_lower_lanes_continue_beside_a_live_alert() -> None:
    async def run() -> None:
        rate = Rate(1_000)
        group = worker_group(8, delays_s=jittery(3))
        for worker in range(8):
            group.keep_sending(worker, ROUTINE, rate)
        group.keep_sending(0, SEVERE, rate, at_once=1)
        begun = now_s()
        await asyncio.sleep(5)
        await group.stop()
        provider = group.provider
        assert provider.tokens(begun + 1, begun + 5, "routine") >= 0.5 * 4_000
        assert provider.most_in_a_second() <= 1_010

    simulate(run)


@pytest.mark.parametrize("retry_after_s", [None, 1.0])
@pytest.mark.parametrize("part", [1.0, 0.8, 0.5])
def test_rate_recovers_soon_after_many_429s(part: float, retry_after_s: float | None) -> None:
    async def run() -> None:
        provider = Provider()
        group = worker_group(8, provider=provider, delays_s=jittery(4))
        for worker in range(8):
            group.keep_sending(worker, ROUTINE, Rate(1_000))
        await asyncio.sleep(3)
        provider.limit, provider.retry_after_s = 100, retry_after_s
        await asyncio.sleep(6)
        provider.limit, provider.retry_after_s = 1_000 * part, None
        ended, refused = now_s(), len(provider.refused)
        await asyncio.sleep(10)
        await group.stop()
        best = max(
            sum(start <= at < start + 1 for at in provider.accepted)
            for start in (ended + n / 4 for n in range(37))
        )
        assert best >= 0.9 * provider.limit
        # It feels its way: few of what is sent is in vain.
        assert len(provider.refused) - refused < 0.05 * len(provider.accepted)

    simulate(run)


def test_tenant_in_every_worker_gets_one_share() -> None:
    async def run() -> None:
        rate = Rate(1_000)
        group = worker_group(8, delays_s=jittery(5))
        for worker in range(8):
            group.keep_sending(worker, ROUTINE, rate, tenant="0", at_once=80)
        for worker in range(1, 8):
            group.keep_sending(worker, ROUTINE, rate, tenant=str(worker))
        begun = now_s()
        await asyncio.sleep(6)
        await group.stop()
        got: Counter[str] = Counter()
        for who, tokens in group.provider.by(begun + 1, begun + 6).items():
            got[who.split("/")[1]] += tokens
        counts = [got[str(n)] for n in range(8)]
        assert sum(counts) ** 2 / 8 / sum(c * c for c in counts) >= 0.95
        assert sum(counts) >= 0.95 * 5_000

    simulate(run)


def test_large_tenant_delays_small_ones_under_twofold() -> None:
    """Each of eight has an eighth of the rate, whatever one of them asks for."""

    async def last_of_each(*, crowding: bool) -> list[float]:
        rate, small, count = Rate(1_000), 7, 100
        group = worker_group(8, delays_s=jittery(7))
        if crowding:
            for worker in range(8):
                group.keep_sending(worker, ROUTINE, rate, tenant="crowd")
            await asyncio.sleep(2)
        begun = now_s()
        for tenant in range(small):
            group.keep_sending(tenant, ROUTINE, rate, tenant=str(tenant), count=count)
        await asyncio.sleep(4)
        await group.stop()
        times: list[float] = []
        for tenant in range(small):
            mine = [at for at, who, _ in group.provider.sent if who.split("/")[1] == str(tenant)]
            assert len(mine) == count
            times.append(mine[-1] - begun)
        return times

    without = simulate(lambda: last_of_each(crowding=False))
    beside = simulate(lambda: last_of_each(crowding=True))
    assert max(beside) <= 2 * max(without)


def test_few_script_calls_serve_many_sends() -> None:
    async def run() -> None:
        group = worker_group(8, delays_s=jittery(6))
        for worker in range(8):
            group.keep_sending(worker, ROUTINE, Rate(1_000))
        await asyncio.sleep(5)
        await group.stop()
        assert sum(p.calls for p in group.stores) < 5 * 200

    simulate(run)


def test_late_worker_does_not_catch_up_in_a_burst() -> None:
    async def run() -> None:
        group = worker_group(1)
        group.keep_sending(0, ROUTINE, Rate(1_000))
        await asyncio.sleep(2)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        loop.freeze(0.7)
        await asyncio.sleep(2)
        await group.stop()
        assert group.provider.most_in_a_second() <= 1_010

    simulate(run)

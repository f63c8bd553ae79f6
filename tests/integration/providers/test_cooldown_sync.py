"""Two workers and one provider: what one finds, the other knows, with Redis and without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from alerting.errors import Unavailable
from alerting.providers.breaker import FRESH_S, Breaker, Ending, Limits, State
from alerting.providers.cooldown import CooldownStore, CooldownSync
from alerting.throttle.budget.redis_budget import connect

LIMITS = Limits(cooldown_s=20)


@dataclass
class Peer:
    """One worker's breaker of one provider, on a clock of its own."""

    client: Redis
    at: float = 100.0

    def __post_init__(self) -> None:
        self.sync = CooldownSync(CooldownStore(self.client))
        self.breaker = Breaker(
            lambda: self.at,
            limits=LIMITS,
            opened=lambda _: self.sync.changed("sms.1"),
            closed=lambda: self.sync.changed("sms.1"),
        )

    async def exchange(self) -> None:
        await self.sync.exchange({"sms.1": self.breaker})

    def running(self) -> AbstractAsyncContextManager[None]:
        return self.sync.running({"sms.1": self.breaker})

    def calls(self, ending: Ending, count: int) -> int:
        went = 0
        for _ in range(count):
            call = self.breaker.begin()
            if call is not None:
                went += 1
                self.breaker.ended(call, ending)
        return went


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def peers(client: Redis) -> tuple[Peer, Peer]:
    return Peer(client), Peer(client, at=5000.0)


async def test_state_is_shared_between_workers(
    peers: tuple[Peer, Peer],
) -> None:
    one, other = peers
    one.calls(Ending.BAD, LIMITS.few)
    await one.exchange()
    await other.exchange()
    assert other.calls(Ending.GOOD, 10) == 0
    assert other.breaker.wait_s() == pytest.approx(LIMITS.cooldown_s, abs=1)
    # The first is through with its rest and finds it well.
    one.at += LIMITS.cooldown_s
    assert one.calls(Ending.GOOD, LIMITS.good_probes) == LIMITS.good_probes
    assert one.breaker.state is State.CLOSED
    await one.exchange()
    await other.exchange()
    assert other.calls(Ending.GOOD, 10) == 10
    assert other.breaker.state is State.CLOSED


async def test_worker_with_bad_network_does_not_stop_others(
    peers: tuple[Peer, Peer],
) -> None:
    one, other = peers
    one.calls(Ending.BAD, LIMITS.few)
    await one.exchange()
    for _ in range(20):
        assert other.calls(Ending.GOOD, 1) == 1
        await other.exchange()
        other.at += FRESH_S / 2
    # What one found is not told again as the other's own.
    other.at += FRESH_S
    await other.exchange()
    assert other.breaker.state is State.OPEN


async def test_others_are_notified_without_asking(peers: tuple[Peer, Peer]) -> None:
    one, other = peers
    async with one.running(), other.running(), asyncio.timeout(60):
        one.calls(Ending.BAD, LIMITS.few)
        while other.breaker.state is not State.OPEN:  # noqa: ASYNC110 - Redis tells it
            await asyncio.sleep(0.005)


async def test_without_redis_each_decides_alone_and_syncs_later(
    client: Redis, redis_url: str
) -> None:
    gone = connect("redis://127.0.0.1:1/0")
    one, other = Peer(gone), Peer(client)
    async with other.running(), asyncio.timeout(60), one.running():
        one.calls(Ending.BAD, LIMITS.few)
        with pytest.raises(Unavailable):
            await one.exchange()
        assert one.breaker.state is State.OPEN
        assert other.breaker.state is State.CLOSED
        gone.connection_pool = connect(redis_url).connection_pool
        one.at += 5
        while other.breaker.state is not State.OPEN:  # noqa: ASYNC110 - Redis tells it
            await asyncio.sleep(0.01)
    assert other.breaker.wait_s() == pytest.approx(LIMITS.cooldown_s - 5, abs=1)
    await gone.aclose()
    await gone.connection_pool.disconnect()

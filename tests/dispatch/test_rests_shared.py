"""Two workers and one provider: what one finds, the other knows, with Redis and without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from alerting.dispatch.providers.rests import SharedRests
from alerting.errors import Unavailable
from alerting.throttle.breaker import FRESH_S, Breaker, Ending, Limits, State
from alerting.throttle.budget.redis import connect
from alerting.throttle.rests import Rests

LIMITS = Limits(rest_s=20)


@dataclass
class Peer:
    """One worker's breaker of one provider, on a clock of its own."""

    client: Redis
    at: float = 100.0

    def __post_init__(self) -> None:
        self.breaker = Breaker(lambda: self.at, limits=LIMITS)
        self.shared = SharedRests(Rests(self.client), {"sms.1": self.breaker})
        self.breaker.opened = lambda _: self.shared.found("sms.1")
        self.breaker.closed = lambda: self.shared.found("sms.1")

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


async def test_what_one_finds_ill_the_other_does_not_call_and_what_one_finds_well_both_do(
    peers: tuple[Peer, Peer],
) -> None:
    one, other = peers
    one.calls(Ending.BAD, LIMITS.few)
    await one.shared.exchange()
    await other.shared.exchange()
    assert other.calls(Ending.GOOD, 10) == 0
    assert other.breaker.wait_s() == pytest.approx(LIMITS.rest_s, abs=1)
    # The first is through with its rest and finds it well.
    one.at += LIMITS.rest_s
    assert one.calls(Ending.GOOD, LIMITS.good_probes) == LIMITS.good_probes
    assert one.breaker.state is State.CLOSED
    await one.shared.exchange()
    await other.shared.exchange()
    assert other.calls(Ending.GOOD, 10) == 10
    assert other.breaker.state is State.CLOSED


async def test_a_worker_with_a_bad_line_does_not_stop_those_whose_calls_are_answered(
    peers: tuple[Peer, Peer],
) -> None:
    one, other = peers
    one.calls(Ending.BAD, LIMITS.few)
    await one.shared.exchange()
    for _ in range(20):
        assert other.calls(Ending.GOOD, 1) == 1
        await other.shared.exchange()
        other.at += FRESH_S / 2
    # What one found is not told again as the other's own.
    other.at += FRESH_S
    await other.shared.exchange()
    assert other.breaker.state is State.OPEN


async def test_others_hear_of_it_without_being_asked(peers: tuple[Peer, Peer]) -> None:
    one, other = peers
    async with one.shared.kept(), other.shared.kept(), asyncio.timeout(5):
        one.calls(Ending.BAD, LIMITS.few)
        while other.breaker.state is not State.OPEN:  # noqa: ASYNC110 - Redis tells it
            await asyncio.sleep(0.005)


async def test_without_redis_each_decides_alone_and_tells_when_redis_is_back(
    client: Redis, redis_url: str
) -> None:
    gone = connect("redis://127.0.0.1:1/0")
    one, other = Peer(gone), Peer(client)
    async with other.shared.kept(), asyncio.timeout(10), one.shared.kept():
        one.calls(Ending.BAD, LIMITS.few)
        with pytest.raises(Unavailable):
            await one.shared.exchange()
        assert one.breaker.state is State.OPEN
        assert other.breaker.state is State.CLOSED
        gone.connection_pool = connect(redis_url).connection_pool
        one.at += 5
        while other.breaker.state is not State.OPEN:  # noqa: ASYNC110 - Redis tells it
            await asyncio.sleep(0.01)
    assert other.breaker.wait_s() == pytest.approx(LIMITS.rest_s - 5, abs=1)
    await gone.aclose()
    await gone.connection_pool.disconnect()

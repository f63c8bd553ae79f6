"""What only the store in Redis can do wrong: retries, other workers, a Redis that is not there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.cluster import key_slot

from alerting.domain.lane import Lane
from alerting.embedded import redis
from alerting.embedded.redis import Redis as Server
from alerting.errors import Unavailable
from alerting.providers.rate import redis_rates as rate_redis
from alerting.providers.rate.contract import HEADROOM, MICRO, Grant, Rate
from alerting.providers.rate.limiter import RateLimiter
from alerting.providers.rate.redis_rates import RedisRateStore
from alerting.throttle.budget.redis_budget import connect

RATE = Rate(1_000)
EXTREME, ROUTINE = Lane.EXTREME, Lane.ROUTINE
NOW_S = 1_790_000_000.0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A Redis that a test may hurt."""
    server = redis.start(tmp_path / "redis")
    yield server
    # A stopped process does not hear that it should end.
    if server._process.poll() is None:
        os.kill(server.pid, signal.SIGCONT)
    server.stop()


async def ask(store: RedisRateStore, lane: Lane = ROUTINE, tokens: int = 5) -> Grant:
    return await store.reserve("sms", lane, "police", tokens, RATE)


async def test_reservations_of_workers_follow_one_another(redis_url: str) -> None:
    async with connect(redis_url) as one, connect(redis_url) as two:
        first = await ask(RedisRateStore(one, worker="one", now_s=lambda: NOW_S))
        second = await ask(RedisRateStore(two, worker="two", now_s=lambda: NOW_S))
        assert second.start_in_s == pytest.approx(
            first.start_in_s + 5 / RATE.per_second / HEADROOM, abs=1e-4
        )
        assert (first.workers, second.workers) == (1, 2)


async def test_server_clock_is_the_default(redis_url: str) -> None:
    async with connect(redis_url) as client:
        store = RedisRateStore(client)
        assert (await ask(store)).granted == 5
        for _ in range(10_000):
            grant = await ask(store)
            if grant.granted == 0:
                break
        assert 0 < grant.wait_s < 0.1


async def test_slow_reply_does_not_delay_its_grant(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = {"us": 5 * MICRO}
    monkeypatch.setattr(rate_redis, "_local_us", lambda: local["us"])
    async with connect(redis_url) as client:
        store = RedisRateStore(client)
        known = store._server_now(9 * MICRO, local["us"])
        assert known == 9 * MICRO
        local["us"] += 300_000
        # Told at its beginning, read at its end.
        assert store._server_now(9 * MICRO, 5 * MICRO) == 9 * MICRO + 300_000
        # The server's clock stepped: what was known cannot be true any more.
        assert store._server_now(2 * MICRO, local["us"]) == 2 * MICRO


async def test_duplicate_reservation_only_wastes(redis_url: str) -> None:
    """A lost reply is asked for again by the client: the second run takes other instants."""
    async with connect(redis_url) as client:
        store = RedisRateStore(client, now_s=lambda: NOW_S)
        starts = [(await ask(store)).start_in_s for _ in range(3)]
        steps = [b - a for a, b in pairwise(starts)]
        assert min(steps) >= 5 / RATE.per_second


async def test_lost_script_is_loaded_again(redis_url: str) -> None:
    async with connect(redis_url) as client:
        for _ in range(3):
            await client.script_flush()
            assert (await ask(RedisRateStore(client))).granted == 5


async def test_emptied_redis_grants_again(redis_url: str) -> None:
    async with connect(redis_url) as client:
        store = RedisRateStore(client)
        await ask(store)
        await client.flushall()
        assert (await ask(store)).granted == 5


async def test_new_epoch_is_published(redis_url: str) -> None:
    async with connect(redis_url) as one, connect(redis_url) as two:
        listening = RedisRateStore(one).epochs("sms")
        async with aclosing(listening), asyncio.timeout(60):
            heard = asyncio.ensure_future(anext(listening))
            name = "alerting:{pace-sms}"
            while await two.pubsub_numsub(name) != [(name.encode(), 1)]:  # noqa: ASYNC110
                await asyncio.sleep(0)
            grant = await ask(RedisRateStore(two), EXTREME)
            assert await heard == grant.epoch == 1


async def test_refused_connection_is_unavailable() -> None:
    async with connect("redis://127.0.0.1:9/0") as client:
        store = RedisRateStore(client)
        with pytest.raises(Unavailable):
            await store.report("sms", RATE, throttled=True)
        with pytest.raises(Unavailable):
            await ask(store)
        with pytest.raises(Unavailable):
            await anext(store.epochs("sms"))


async def test_frozen_redis_is_unavailable_in_time(own_server: Server) -> None:
    async with connect(own_server.url) as client:
        store = RedisRateStore(client, timeout_s=3600)
        assert (await ask(store)).granted == 5
        os.kill(own_server.pid, signal.SIGSTOP)
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable):
                await ask(RedisRateStore(client, timeout_s=0.05))
        os.kill(own_server.pid, signal.SIGCONT)
        # Not the reply to what was asked while it was frozen.
        grant = await store.reserve("sms", ROUTINE, "fire", 3, RATE)
        assert grant.granted == 3


async def test_redis_killed_in_flight_stops_no_send(own_server: Server) -> None:
    async with connect(own_server.url) as client, asyncio.timeout(60):
        limiter = RateLimiter(RedisRateStore(client), assumed_workers=2)
        sent = {EXTREME: 0, ROUTINE: 0}
        killed = asyncio.Event()

        async def keep_sending(lane: Lane, count: int) -> None:
            for _ in range(count):
                await limiter.acquire("sms", lane, "police", 1, RATE)
                await limiter.report("sms", RATE, throttled=False, retry_after_s=None)
                sent[lane] += 1
                if sum(sent.values()) == 100:
                    os.kill(own_server.pid, signal.SIGKILL)
                    own_server._process.wait()
                    killed.set()

        await asyncio.gather(
            *(keep_sending(lane, 20) for lane in (EXTREME, ROUTINE) for _ in range(10))
        )
        assert killed.is_set()
        assert sent == {EXTREME: 200, ROUTINE: 200}
        await limiter.close()


@pytest.mark.parametrize("wrong", [b"", [1, 2], [b"1"] * 7, 7, None])
async def test_invalid_reply_is_unavailable(wrong: object) -> None:
    class Liar:
        async def evalsha(self, *words: object) -> object:
            return wrong

    with pytest.raises(Unavailable, match="not that of its script"):
        await ask(RedisRateStore(Liar()))  # type: ignore[arg-type]


async def test_foreign_key_is_unavailable(redis_url: str) -> None:
    async with connect(redis_url) as client:
        await client.rpush("alerting:{pace-sms}", "?")
        with pytest.raises(Unavailable):
            await ask(RedisRateStore(client))


@given(st.text(max_size=20), st.sampled_from(Lane))
def test_keys_of_a_sender_share_a_cluster_slot(sender: str, lane: Lane) -> None:
    assert len({key_slot(key.encode()) for key in rate_redis._keys(sender, lane)}) == 1


async def test_expired_keys_leave_redis(redis_url: str) -> None:
    async with connect(redis_url) as client:
        await ask(RedisRateStore(client), tokens=5_000)
        keys = [key async for key in client.scan_iter("alerting:*")]
        assert len(keys) == 5
        for key in keys:
            assert 0 < await client.pttl(key) <= 3_600_000

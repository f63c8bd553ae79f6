"""What only the budget in Redis can do wrong: retries, other workers, a Redis that is not there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from budget_backends import (
    EXTREME,
    LIMITS,
    YES,
    Backend,
    Time,
    asks,
    budget_keys,
    hour,
    redis_backend,
)
from hypothesis import given
from hypothesis import strategies as st
from redis.cluster import key_slot

from alerting.embedded import redis
from alerting.embedded.redis import Redis as Server
from alerting.errors import Unavailable
from alerting.throttle.budget import Ask
from alerting.throttle.budget.redis_budget import RedisBudget, connect
from alerting.throttle.budget.wire import CALL, SPANS, plan

#: Longer than any test lasts.
NEVER_S = 3600.0

TOWN = [*range(2_000), *range(5_000, 40_000, 501), 999_999, 1_000_000]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A Redis that a test may hurt."""
    server = redis.start(tmp_path / "redis")
    yield server
    # A stopped process does not hear that it should end.
    if server._process.poll() is None:
        os.kill(server.pid, signal.SIGCONT)
    server.stop()


async def refuses(budget: RedisBudget, *, within_s: float | None = None) -> None:
    """Ask in vain, which ends by itself; `NEVER_S` as a limit is none."""
    with pytest.raises(Unavailable):
        await asyncio.wait_for(budget.ask("x", asks([1]), LIMITS, timeout_s=within_s), 60)


def address(server: asyncio.Server) -> str:
    return f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def test_concurrent_workers_charge_once_with_same_answer(redis_url: str) -> None:
    async with redis_backend(redis_url) as one, redis_backend(redis_url) as two:
        for n in range(20):
            first, second = await asyncio.gather(
                one.together(f"flood {n}", asks(TOWN)),
                two.together(f"flood {n}", asks(list(reversed(TOWN)))),
            )
            assert first == list(reversed(second)) == [YES] * len(TOWN)
            # Just what one charge takes; two would use up the day after a few rounds.
            one.time.at = two.time.at = one.time.at + 86_400 / 6


async def test_server_clock_is_the_default(redis_url: str) -> None:
    async with connect(redis_url) as client:
        budget = RedisBudget(client)
        assert await budget.ask("a", asks([1]), LIMITS) == [YES]
        (answer,) = await budget.ask("b", asks([1]), LIMITS)
        assert 580 < answer.wait_s <= 600


async def test_lost_script_is_loaded_again(redis_url: str) -> None:
    async with redis_backend(redis_url) as backend, connect(redis_url) as client:
        for round_ in range(3):
            await client.script_flush()
            assert set(await backend.together(f"one {round_}", asks([1]))) == {YES}
            await client.script_flush()
            # Several scripts in one pipeline, none of which is known.
            assert set(await backend.together(f"many {round_}", asks(TOWN[2:]))) == {YES}
            backend.time.at += 86_400


async def test_emptied_redis_admits_again(redis_url: str) -> None:
    async with redis_backend(redis_url) as backend, connect(redis_url) as client:
        await backend.together("flood", asks(TOWN))
        await client.flushall()
        assert set(await backend.together("fire", asks(TOWN))) == {YES}
        assert await backend.together("frost", asks(TOWN)) == [hour(600)] * len(TOWN)


async def test_lost_reply_charges_once(redis_url: str) -> None:
    async with losing_replies(redis_url, count=1) as (url, lost), redis_backend(url) as backend:
        backend.limits = LIMITS
        assert await backend.together("flood", asks([1, 2, 3])) == [YES] * 3
        assert lost == [1]
        await assert_charged_once(backend, [1, 2, 3])


async def test_reply_lost_for_good_is_found_by_asking_again(redis_url: str) -> None:
    async with losing_replies(redis_url, count=2) as (url, lost), redis_backend(url) as backend:
        with pytest.raises(Unavailable):
            await backend.together("flood", asks([1, 2, 3]))
        assert lost == [1, 2]
        assert await backend.together("flood", asks([3, 2, 1])) == [YES] * 3
        await assert_charged_once(backend, [1, 2, 3])


async def assert_charged_once(backend: Backend, citizens: list[int]) -> None:
    """Moderate has 6 a day; exactly 5 of them are left."""
    for n in range(5):
        backend.time.at += 600
        assert set(await backend.together(f"left {n}", asks(citizens))) == {YES}
    backend.time.at += 600
    assert {a.admitted for a in await backend.together("over", asks(citizens))} == {False}


async def test_killed_redis_is_unavailable(own_server: Server) -> None:
    async with connect(own_server.url) as client:
        budget = RedisBudget(client, timeout_s=NEVER_S)
        assert await budget.ask("flood", asks([1]), LIMITS) == [YES]
        os.kill(own_server.pid, signal.SIGKILL)
        own_server._process.wait()
        await refuses(budget)


async def test_frozen_redis_is_unavailable_until_it_resumes(
    own_server: Server,
) -> None:
    async with connect(own_server.url) as client:
        budget = RedisBudget(client, now_s=Time(), timeout_s=NEVER_S)
        assert await budget.ask("flood", asks([1]), LIMITS) == [YES]
        os.kill(own_server.pid, signal.SIGSTOP)
        await refuses(budget, within_s=0.05)
        await refuses(budget, within_s=0.05)
        os.kill(own_server.pid, signal.SIGCONT)
        # Not the reply to what was asked while it was frozen.
        answers = await budget.ask("fire", asks([1, 2, 3]), LIMITS)
        assert answers == [hour(600), YES, YES]


async def test_silent_redis_is_unavailable_in_time() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server, connect(address(server)) as client:
        await refuses(RedisBudget(client, timeout_s=NEVER_S), within_s=0.05)
        await refuses(RedisBudget(client, timeout_s=0.05))


async def test_refused_connection_is_unavailable() -> None:
    async with connect("redis://127.0.0.1:9/0") as client:
        await refuses(RedisBudget(client, timeout_s=NEVER_S))


async def test_loading_redis_is_unavailable() -> None:
    async def load(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 20):
            writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")
        writer.close()

    server = await asyncio.start_server(load, "127.0.0.1", 0)
    async with server, connect(address(server)) as client:
        await refuses(RedisBudget(client, timeout_s=NEVER_S))


@pytest.mark.parametrize("wrong", [b"", b"\1\0\1\0\1\0", b"\0\0\0\0", 7, None])
async def test_invalid_reply_is_unavailable(wrong: object) -> None:
    class Liar:
        async def evalsha(self, *words: object) -> object:
            return wrong

    with pytest.raises(Unavailable, match="its script never gives"):
        await RedisBudget(Liar()).ask("flood", asks([1, 2]), LIMITS)  # type: ignore[arg-type]


async def test_foreign_key_is_unavailable(redis_url: str) -> None:
    async with redis_backend(redis_url) as backend, connect(redis_url) as client:
        await client.rpush("alerting:{budget-0}:0", "?")
        with pytest.raises(Unavailable):
            await backend.together("flood", asks([1]))


async def test_full_redis_is_unavailable_and_charges_nobody(own_server: Server) -> None:
    async with redis_backend(own_server.url) as backend, connect(own_server.url) as client:
        await client.config_set("maxmemory", 1)
        with pytest.raises(Unavailable):
            await backend.together("flood", asks([1]))
        await client.config_set("maxmemory", 0)
        assert await client.dbsize() == 0
        assert await backend.together("flood", asks([1])) == [YES]


@given(
    st.lists(
        st.one_of(st.integers(0, 3_000), st.integers(998_000, 1_002_000), st.integers(0, 2**40)),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([1, 31, 34, 1_000]),
    st.integers(1, 40),
    st.text(max_size=20),
)
def test_keys_of_one_call_share_a_cluster_slot(
    seeds: list[int], step: int, run: int, occasion: str
) -> None:
    kinds = {seed + n * step: 1 for seed in seeds for n in range(run)}
    calls = list(plan(occasion, kinds))
    for call in calls:
        assert len({key_slot(key.encode()) for key in call.keys}) == 1
        assert len(call.citizen_ids) <= CALL
        assert len(call.keys) <= 2 * SPANS
    assert [c for call in calls for c in call.citizen_ids] == sorted(kinds)


async def test_few_citizens_take_little_memory(redis_url: str) -> None:
    async with redis_backend(redis_url) as backend, connect(redis_url) as client:
        await backend.together("flood", asks([5]))
        assert [await client.strlen(key) for key in await budget_keys(client)] == [6 * 16]


async def test_many_citizens_take_only_their_records(redis_url: str) -> None:
    """A string that grows bit by bit would end up with twice the room it needs."""
    async with redis_backend(redis_url) as backend, connect(redis_url) as client:
        for first in range(0, 1_000, 50):
            await backend.together(f"flood {first}", asks(range(first, first + 50)))
        (key,) = await budget_keys(client)
        assert await client.strlen(key) == 16_000
        assert await client.memory_usage(key) < 17_000
        assert await backend.together("fire", asks(range(1_000))) == [hour(600)] * 1_000


async def test_expired_records_leave_redis(redis_url: str) -> None:
    async with redis_backend(redis_url) as backend, connect(redis_url) as client:
        await backend.together("flood", asks(TOWN))
        records = await budget_keys(client)
        verdicts = [k async for k in client.scan_iter("alerting:*") if k not in records]
        assert len(records) == len(verdicts) > 10
        for key in records:
            assert 86_400 - 60 < await client.ttl(key) <= 86_400 + 3_600
        for key in verdicts:
            assert 86_400 - 60 < await client.ttl(key) <= 86_400


async def test_reused_records_are_kept(redis_url: str) -> None:
    async with redis_backend(redis_url) as backend, connect(redis_url) as client:
        await backend.together("flood", [Ask(1, EXTREME)])
        (key,) = await budget_keys(client)
        await client.expire(key, 100)
        await backend.together("fire", [Ask(1, EXTREME)])
        assert await client.ttl(key) > 86_000


@asynccontextmanager
async def losing_replies(redis_url: str, *, count: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A way to Redis that breaks after each of the first scripts was run and before its reply."""
    path = urlsplit(redis_url).path
    lost: list[int] = []
    busy: set[asyncio.Task[None] | None] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        busy.add(asyncio.current_task())
        there, back = await asyncio.open_unix_connection(path)
        try:
            while data := await reader.read(1 << 20):
                back.write(data)
                reply = await there.read(1 << 20)
                # The first call of all finds that the script is not known.
                if b"EVAL" in data and not reply.startswith(b"-") and len(lost) < count:
                    lost.append(len(lost) + 1)
                    break
                writer.write(reply)
        finally:
            for end in (back, writer):
                end.close()
                await end.wait_closed()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        yield address(server), lost
    await asyncio.gather(*(t for t in busy if t), return_exceptions=True)

"""What workers tell each other of providers, in a real Redis, and what each does without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from alerting.errors import Unavailable
from alerting.throttle.budget.redis import connect
from alerting.throttle.rests import Rests


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


async def test_a_rest_is_heard_with_what_is_left_of_it_and_ends(client: Redis) -> None:
    rests = Rests(client)
    assert await rests.told(["sms.1", "sms.2"]) == {}
    await rests.tell("sms.1", 60)
    found = await rests.told(["sms.1", "sms.2"])
    assert list(found) == ["sms.1"]
    assert 59 < found["sms.1"] <= 60
    await rests.tell("sms.1", 0)
    assert await rests.told(["sms.1"]) == {}
    await rests.tell("sms.1", 0.001)
    async with asyncio.timeout(5):
        while await rests.told(["sms.1"]):  # noqa: ASYNC110 - Redis ends it
            await asyncio.sleep(0.001)


async def test_one_of_many_has_the_turn(client: Redis) -> None:
    several = [Rests(client) for _ in range(20)]
    turns = await asyncio.gather(*(r.turn("preference", 60) for r in several))
    assert sum(turns) == 1
    assert await several[0].turn("another", 60)


async def test_a_redis_that_is_gone_is_said() -> None:
    client = connect("redis://127.0.0.1:1/0")
    rests = Rests(client)
    for ask in (rests.tell("sms.1", 1), rests.told(["sms.1"]), rests.turn("x", 1)):
        with pytest.raises(Unavailable):
            await ask
    await client.aclose()

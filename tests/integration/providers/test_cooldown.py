"""What workers tell each other of providers, in a real Redis, and what each does without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from alerting.errors import Unavailable
from alerting.providers.cooldown import CooldownStore
from alerting.throttle.budget.redis_budget import connect


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


async def test_cooldown_is_stored_with_remaining_time(client: Redis) -> None:
    cooldowns = CooldownStore(client)
    assert await cooldowns.remaining(["sms.1", "sms.2"]) == {}
    await cooldowns.put("sms.1", 60)
    found = await cooldowns.remaining(["sms.1", "sms.2"])
    assert list(found) == ["sms.1"]
    assert 59 < found["sms.1"] <= 60
    await cooldowns.put("sms.1", 0)
    assert await cooldowns.remaining(["sms.1"]) == {}
    await cooldowns.put("sms.1", 0.001)
    async with asyncio.timeout(60):
        while await cooldowns.remaining(["sms.1"]):  # noqa: ASYNC110 - Redis ends it
            await asyncio.sleep(0.001)


async def test_one_of_many_is_elected(client: Redis) -> None:
    several = [CooldownStore(client) for _ in range(20)]
    elected = await asyncio.gather(*(s.elected("preference", 60) for s in several))
    assert sum(elected) == 1
    assert await several[0].elected("another", 60)


async def test_missing_redis_is_unavailable() -> None:
    client = connect("redis://127.0.0.1:1/0")
    cooldowns = CooldownStore(client)
    for ask in (
        cooldowns.put("sms.1", 1),
        cooldowns.remaining(["sms.1"]),
        cooldowns.elected("x", 1),
    ):
        with pytest.raises(Unavailable):
            await ask
    await client.aclose()

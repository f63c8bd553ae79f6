"""The broker may be absent or emptied: the alert still goes out."""

from __future__ import annotations

import asyncio
import socket
import threading

import redis
from town import Town

from alerting.dispatch.broker import Doorbell
from alerting.domain.lane import Lane


async def test_without_a_broker_an_alert_is_taken_and_goes_out(
    town: Town, alert_xml: bytes
) -> None:
    town.doorbell = Doorbell("redis://127.0.0.1:9/0")
    submitted = await town.submit(alert_xml)
    assert submitted.created
    await town.worker().sweep()
    assert len(town.sent) == len(town.expected(alert_xml))
    town.doorbell.close()


async def test_the_bell_rings_in_its_own_lane_only(town: Town, redis_url: str) -> None:
    assert await asyncio.wrap_future(town.doorbell.ring(Lane.SEVERE))
    assert await asyncio.wrap_future(town.doorbell.ring(Lane.SEVERE))
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("severe") == 2
        assert {client.llen(lane.value) for lane in Lane if lane is not Lane.SEVERE} == {0}


async def test_an_emptied_broker_costs_nothing(
    town: Town, alert_xml: bytes, redis_url: str
) -> None:
    await town.submit(alert_xml)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    await town.worker().sweep()
    assert len(town.sent) == len(town.expected(alert_xml))


async def test_ring_of_a_broker_that_hangs_delays_nobody(town: Town, alert_xml: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        town.doorbell = Doorbell(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        await town.submit(alert_xml)
        ring = town.doorbell.ring(Lane.SEVERE)
        await town.worker().sweep()
        # All was sent while the first ring still waited for its answer.
        assert len(town.sent) == len(town.expected(alert_xml))
        assert not await asyncio.wrap_future(ring)
        town.doorbell.close()


async def test_rings_that_wait_are_one(town: Town, redis_url: str) -> None:
    held = threading.Event()
    town.doorbell._thread.submit(held.wait)
    rings = {id(town.doorbell.ring(Lane.SEVERE)) for _ in range(100)}
    held.set()
    assert len(rings) == 1
    assert await asyncio.wrap_future(town.doorbell.ring(Lane.DRILL))
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("severe") == 1

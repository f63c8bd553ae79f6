"""The broker may be absent or emptied: the alert still goes out."""

from __future__ import annotations

import time

import redis
from town import Town

from alerting.dispatch.broker import Doorbell
from alerting.domain.lane import Lane


async def test_without_a_broker_an_alert_is_taken_and_goes_out(
    town: Town, alert_xml: bytes
) -> None:
    town.doorbell = Doorbell("redis://127.0.0.1:9/0")
    start = time.monotonic()
    submitted = await town.submit(alert_xml)
    assert time.monotonic() - start < 5
    assert submitted.created
    await town.worker().sweep()
    assert len(town.sent) == len(town.expected(alert_xml))
    town.doorbell.close()


async def test_the_bell_rings_in_its_own_lane_only(town: Town, redis_url: str) -> None:
    assert await town.doorbell.ring(Lane.SEVERE, [1, 2])
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

"""The broker may be absent or emptied: the alert still goes out."""

from __future__ import annotations

import asyncio
import socket
import threading

import redis
from dispatch_harness import DispatchHarness

from alerting.dispatch.broker import WorkNotifier
from alerting.domain.lane import Lane


async def test_alert_is_sent_without_broker(harness: DispatchHarness, alert_xml: bytes) -> None:
    harness.notifier = WorkNotifier("redis://127.0.0.1:9/0")
    submitted = await harness.submit(alert_xml)
    assert submitted.created
    await harness.worker().sweep()
    assert len(harness.sent) == len(harness.expected(alert_xml))
    harness.notifier.close()


async def test_notification_goes_to_its_own_lane_only(
    harness: DispatchHarness, redis_url: str
) -> None:
    assert await asyncio.wrap_future(harness.notifier.notify(Lane.SEVERE))
    assert await asyncio.wrap_future(harness.notifier.notify(Lane.SEVERE))
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("severe") == 2
        assert {client.llen(lane.value) for lane in Lane if lane is not Lane.SEVERE} == {0}


async def test_emptied_broker_loses_nothing(
    harness: DispatchHarness, alert_xml: bytes, redis_url: str
) -> None:
    await harness.submit(alert_xml)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    await harness.worker().sweep()
    assert len(harness.sent) == len(harness.expected(alert_xml))


async def test_hanging_broker_delays_nobody(harness: DispatchHarness, alert_xml: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        harness.notifier = WorkNotifier(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        await harness.submit(alert_xml)
        notify = harness.notifier.notify(Lane.SEVERE)
        await harness.worker().sweep()
        # All was sent while the first ring still waited for its answer.
        assert len(harness.sent) == len(harness.expected(alert_xml))
        assert not await asyncio.wrap_future(notify)
        harness.notifier.close()


async def test_waiting_notifications_are_merged(harness: DispatchHarness, redis_url: str) -> None:
    held = threading.Event()
    harness.notifier._thread.submit(held.wait)
    rings = {id(harness.notifier.notify(Lane.SEVERE)) for _ in range(100)}
    held.set()
    assert len(rings) == 1
    assert await asyncio.wrap_future(harness.notifier.notify(Lane.DRILL))
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("severe") == 1

"""A window is as wide as a provider takes in half a second, never wider than a kill may leave."""

from __future__ import annotations

import asyncio

import pytest
from dispatch_harness import DispatchHarness
from ill_providers import Scripted

from alerting.channels.base import Outcome, Outgoing, Rendering
from alerting.channels.spec import Provider
from alerting.domain.lane import Lane
from alerting.providers.failover import Routes

CONNECTIONS = 4


def mail(n: int) -> Outgoing:
    return Outgoing(n, f"c{n}@example.org", Rendering("email", "en", "s", "t"), Lane.SEVERE, "t")


@pytest.mark.parametrize(
    ("took_s", "most", "places"),
    [
        (0.01, 64, 64),
        (0.06, 64, 8 * CONNECTIONS),
        (0.12, 64, 4 * CONNECTIONS),
        (0.01, 16, 16),
        (0.3, 64, 2 * CONNECTIONS),
        (0.6, 64, CONNECTIONS),
        (20.0, 64, CONNECTIONS),
    ],
)
async def test_window_size_follows_provider_speed(
    harness: DispatchHarness, took_s: float, most: int, places: int
) -> None:
    now_s = 0.0

    def answer(message: Outgoing) -> Outcome:
        nonlocal now_s
        now_s += took_s
        return Outcome(message.delivery_id, provider_ref="ok")

    relay = Scripted(name="email", concurrency=CONNECTIONS, answer=answer)
    routes = Routes(
        {"email": [Provider("relay", relay)]}, harness.rates(), harness.alarms(), now=lambda: now_s
    )
    assert await routes.window("email", most) == CONNECTIONS
    for n in range(3):
        await routes.send("email", mail(n), Lane.SEVERE, "t")
    assert await routes.window("email", most) == places


async def test_window_size_ignores_wait_for_connection(harness: DispatchHarness) -> None:
    relay = Scripted(name="email", concurrency=1)
    routes = Routes({"email": [Provider("relay", relay)]}, harness.rates(), harness.alarms())
    await routes.window("email", 64)
    await asyncio.gather(*(routes.send("email", mail(n), Lane.SEVERE, "t") for n in range(100)))
    assert await routes.window("email", 64) == 64

"""What is to be run, and the alert and citizens it is run with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import shapely

from alerting.audience.synthetic import SyntheticCitizen, generate, store
from alerting.bootstrap import Runtime
from alerting.cap import read
from alerting.chaos.plan import SENDING, Knobs
from alerting.chaos.scenarios import Scenario
from alerting.demo.run import LANGUAGES
from alerting.domain.alert import Alert
from alerting.domain.geometry import ring_shape
from alerting.domain.retime import sent_now
from alerting.embedded.carriers import PUSH_SEED, subscription


@dataclass(frozen=True, slots=True)
class Order:
    """What to run. progress: told how many messages of how many, faults of how many."""

    name: str
    scenario: Scenario
    citizens: int
    seed: int
    knobs: Knobs
    command: str
    progress: Callable[[int, int, int, int], None] = lambda _m, _of, _f, _all: None


def alert_of(example: bytes, order: Order, now: datetime) -> Alert:
    """The example as this run sends it."""
    alert = sent_now(read(example).alerts[0], now)
    infos = tuple(replace(i, severity=order.scenario.severity) for i in alert.infos)
    return replace(alert, identifier=f"chaos-{order.name}-{order.seed}", infos=infos)


async def town_of(
    runtime: Runtime, alert: Alert, push_base: str, order: Order
) -> list[SyntheticCitizen]:
    """The citizens, stored. push_base: where their push service is."""
    area = shapely.union_all(
        [ring_shape(p.points) for i in alert.infos for a in i.areas for p in a.polygons]
    )

    def make_push(name: str) -> tuple[str, Mapping[str, str]]:
        return subscription(push_base, PUSH_SEED, name)

    town = await asyncio.to_thread(
        generate,
        order.citizens,
        area,
        seed=order.seed,
        make_push=make_push,
        languages=LANGUAGES,
    )
    if order.scenario.two_companies:
        town = [_without_push(c) for c in town]
    async with runtime.db.begin() as connection:
        await store(connection, town)
    return town


def _without_push(citizen: SyntheticCitizen) -> SyntheticCitizen:
    """Push services are whose the phone is: there is never a second."""
    channels = tuple(c for c in citizen.channels if c != "push")
    return replace(
        citizen, channels=channels, endpoints={c: citizen.endpoints[c] for c in channels}
    )


def calm_of(order: Order, expected: int) -> dict[str, Any]:
    """The carriers slow enough for the alert to take its span, and the scenario's own faults.

    With so many sends open at once the latency decides the rate; mail has fewer connections.
    """
    per_s = expected / order.scenario.span(order.knobs)
    at_once = len(SENDING) * order.knobs.workers * 24
    latency_ms = round(1000 * min(at_once / per_s, 1.5))
    found: dict[str, Any] = {
        "sms": {"latency_ms": latency_ms},
        "push": {"latency_ms": latency_ms},
        "email": {"latency_ms": latency_ms // 2},
    }
    for channel, faults in order.scenario.calm.items():
        found[channel] = found[channel] | faults
    return found

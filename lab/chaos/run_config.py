"""The configuration of a run: its scenario, its alert and its citizens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import shapely

from alerting.audience.synthetic import SyntheticCitizen, generate, store
from alerting.bootstrap import Runtime
from alerting.cap import read
from alerting.demo.run import LANGUAGES
from alerting.domain.alert import Alert, Area, Category, Polygon
from alerting.domain.geometry import ring_shape
from alerting.domain.retime import sent_now
from alerting.embedded.carriers import PUSH_SEED, subscription
from lab.chaos.judge import Wanted
from lab.chaos.plan import SENDING, Parameters
from lab.chaos.scenarios import Scenario

#: Sends that a process is taken to have open on a channel, more or less.
_OPEN = 24

#: No carrier answers later than this of its own; sooner where a cancel is judged, for their logs
#: have a call when it is answered, not when it began.
_SLOWEST_S = 1.5
_SLOWEST_CANCELLED_S = 0.5

#: Half a side of the second alert's square, in degrees.
_HALF = 0.01


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The configuration of a run.

    Attributes:
        progress: Called with (messages, expected messages, faults, planned faults).
    """

    name: str
    scenario: Scenario
    citizens: int
    seed: int
    parameters: Parameters
    command: str
    progress: Callable[[int, int, int, int], None] = lambda _m, _of, _f, _all: None


def alert_of(example: bytes, run_config: RunConfig, now: datetime) -> Alert:
    """The example alert with the changes of this run."""
    alert = sent_now(read(example).alerts[0], now)
    infos = tuple(replace(i, severity=run_config.scenario.severity) for i in alert.infos)
    return replace(alert, identifier=f"chaos-{run_config.name}-{run_config.seed}", infos=infos)


def second_of(alert: Alert, run_config: RunConfig, now: datetime) -> Alert:
    """An Extreme alert of another danger, for the middle of the first one's area."""
    lats, lons = zip(*alert.infos[0].areas[0].polygons[0].points, strict=True)
    lat, lon = sum(lats) / len(lats), sum(lons) / len(lons)
    corners = ((-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1))
    square = Polygon(tuple((lat + _HALF * y, lon + _HALF * x) for y, x in corners))
    info = replace(
        alert.infos[0],
        categories=(Category.CBRNE,),
        event="Chlorine release",
        headline="Chlorine release: close windows and doors",
        description="A tank at the ice works leaks chlorine.",
        instruction="Stay inside, upstairs, with windows and doors closed.",
        areas=(Area("Port Example, ice works", polygons=(square,)),),
    )
    second = replace(alert, identifier=f"{alert.identifier}-second", infos=(info,))
    return sent_now(second, now)


async def citizens_of(
    runtime: Runtime, alert: Alert, push_base: str, run_config: RunConfig
) -> list[SyntheticCitizen]:
    """The citizens, stored.

    Args:
        push_base: Where their push service is.
    """
    area = shapely.union_all(
        [ring_shape(p.points) for i in alert.infos for a in i.areas for p in a.polygons]
    )

    def make_push(name: str) -> tuple[str, Mapping[str, str]]:
        return subscription(push_base, PUSH_SEED, name)

    citizens = await asyncio.to_thread(
        generate,
        run_config.citizens,
        area,
        seed=run_config.seed,
        make_push=make_push,
        languages=LANGUAGES,
    )
    if run_config.scenario.two_companies:
        citizens = [_without_push(c) for c in citizens]
    async with runtime.db.begin() as connection:
        await store(connection, citizens)
    return citizens


def _without_push(citizen: SyntheticCitizen) -> SyntheticCitizen:
    """A push service belongs to the phone, so there is never a second one."""
    channels = tuple(c for c in citizen.channels if c != "push")
    return replace(
        citizen, channels=channels, endpoints={c: citizen.endpoints[c] for c in channels}
    )


def base_faults_of(run_config: RunConfig, want: Wanted) -> dict[str, Any]:
    """The carriers slow enough for each channel to take the alert's span, and the scenario's own
    faults.

    The number of concurrent sends on a channel is limited, so the latency determines the rate.
    """
    open_ = min(run_config.scenario.settings.get("window", _OPEN), _OPEN)
    at_once = len(SENDING) * run_config.parameters.workers * open_
    span_s = run_config.scenario.span(run_config.parameters)
    slowest_s = _SLOWEST_CANCELLED_S if run_config.scenario.cancelled else _SLOWEST_S
    found: dict[str, Any] = {}
    for channel, count in Counter(channel for channel, _ in want.addresses).items():
        found[channel] = {"latency_ms": round(1000 * min(at_once * span_s / count, slowest_s))}
    for channel, faults in run_config.scenario.base_faults.items():
        found[channel] = found.get(channel, {}) | faults
    return found

"""Run one scenario: start a system, send an alert, strike while it goes out, judge."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import shapely

from alerting.audience.synthetic import SyntheticCitizen, generate, store
from alerting.bootstrap import Runtime
from alerting.cap import read
from alerting.chaos import judge as court
from alerting.chaos.client import Client
from alerting.chaos.hand import Hand, Struck
from alerting.chaos.plan import SENDING, Knobs
from alerting.chaos.report import Report
from alerting.chaos.scenarios import Scenario
from alerting.chaos.system import System, running
from alerting.chaos.verdict import (
    Course,
    attribute,
    criteria,
    disagreements,
    last_after_s,
    recoveries,
)
from alerting.chaos.watch import CarrierLogs, ProcessLines
from alerting.demo.run import LANGUAGES, demo_settings
from alerting.domain.alert import Alert
from alerting.domain.geometry import ring_shape
from alerting.domain.lane import lane_of
from alerting.domain.retime import sent_now
from alerting.embedded.carriers import PUSH_SEED, subscription
from alerting.settings import Settings
from alerting.store import alerts, keys
from alerting.store.db import AWAY

_TICK_S = 0.05
#: After so long without a message nothing is under way any more.
_QUIET_S = 2.0
#: A run that takes so many times its span is stuck.
_STUCK = 4.0
_STUCK_S = 120.0


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


async def run(own: Settings, example: bytes, order: Order) -> Report:
    """Play the scenario in a folder of its own below `own.var`, emptied before.

    Raises WorkFailed or Unavailable when the system could not be brought so far that it can be
    judged at all; whatever else goes wrong is in the report.
    """
    begun = time.monotonic()
    config = _settings(own, order)
    shutil.rmtree(config.var, ignore_errors=True)
    shifts = config.var / "clocks"
    shifts.mkdir(parents=True)
    async with running(
        config,
        proxied=order.scenario.proxied,
        shifts=shifts if order.scenario.shifted else None,
        second=_second(config) if order.scenario.two_companies else None,
    ) as system:
        play = await _Play.open(system, example, order, shifts)
        await play.go()
        rows = await court.ledger(system.engines.database_url)
        chunks = await court.unfinished_chunks(system.engines.database_url)
        cancel = await play.cancel_committed()
    # Read once more when everything has ended: a message that came even now counts.
    play.logs.read_on()
    return _report(order, config, play, rows, chunks, cancel, time.monotonic() - begun)


def _settings(own: Settings, order: Order) -> Settings:
    config = demo_settings(own)
    changes = {
        "var": own.var / "chaos" / order.name,
        "workers": order.knobs.workers,
        "log_format": "json",
        "log_level": "INFO",
        # A small alert too has chunks for all.
        "chunk_size": min(own.chunk_size, max(100, order.citizens // 40)),
        **order.scenario.settings,
    }
    return config.model_copy(update=changes)


def _second(config: Settings) -> Settings:
    """Another company on this machine, with its own logs and ports."""
    return demo_settings(config).model_copy(update={"var": config.var / "second"})


class _Play:
    """The alert on its way, and the faults that strike it."""

    def __init__(
        self,
        system: System,
        order: Order,
        shifts: Path,
        *,
        runtime_settings: Settings,
        alert: Alert,
        want: court.Wanted,
        client: Client,
    ) -> None:
        self._system, self._order = system, order
        self._runtime_settings = runtime_settings
        self.alert, self.want = alert, want
        self._client = client
        self.logs = CarrierLogs([c.var for c in system.carriers], system.push_base)
        self._plan = order.scenario.plan(Random(order.seed), order.knobs)  # noqa: S311
        self.expected = len(want.any_of)
        self._hand = Hand(
            system,
            lines=lambda: len(self.logs.lines),
            cancel=self._cancel,
            calm=_calm(order, self.expected),
            shifts=shifts,
        )
        self.struck: list[Struck] = []
        self.alert_id = UUID(int=0)
        self.notice_id: UUID | None = None
        self.stuck = False
        self._ended = False

    @property
    def planned(self) -> int:
        return len(self._plan)

    @staticmethod
    async def open(system: System, example: bytes, order: Order, shifts: Path) -> _Play:
        engines = system.engines
        known = {"database_url": engines.database_url, "redis_url": engines.redis_url}
        config = system.config.model_copy(update=known)
        async with Runtime.open(config) as runtime:
            alert = _alert(example, order, runtime.clock.now())
            town = await _town(runtime, alert, system.push_base, order)
            async with runtime.db.begin() as connection:
                key = await keys.create(connection, "chaos", ["submit", "read"], actor="chaos")
        every = lane_of(alert) in config.all_channels_lanes
        return _Play(
            system,
            order,
            shifts,
            runtime_settings=config,
            alert=alert,
            want=court.wanted(alert, town, all_channels=every),
            client=Client(f"http://{config.local_host}:{config.port}", key),
        )

    async def go(self) -> None:
        """Submit, strike, and wait until all is settled or it is clear that it never will be."""
        await self._hand.calm()
        self.alert_id = await self._client.submit(self.alert)
        striking = asyncio.create_task(self._strike())
        ending = asyncio.create_task(self._settled())
        limit = time.monotonic() + _STUCK_S + _STUCK * self._order.scenario.span(self._order.knobs)
        try:
            while not (self._ended and striking.done() and self._quiet()):
                if striking.done():
                    striking.result()
                if time.monotonic() > limit:
                    self.stuck = True
                    return
                count = self.logs.read_on()
                self._order.progress(count, self.expected, len(self.struck), len(self._plan))
                await asyncio.sleep(_TICK_S)
        finally:
            for task in (striking, ending):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @property
    def system_lines(self) -> ProcessLines:
        return self._system.lines

    async def cancel_committed(self) -> datetime | None:
        """When the cancel took effect; None where there was none."""
        if self.notice_id is None:
            return None
        return await court.committed_at(self._system.engines.database_url, self.notice_id)

    async def _strike(self) -> None:
        for fault in self._plan:
            # Nothing rings when a carrier's log has grown.
            while len(self.logs.lines) < fault.at * self.expected and not self._ended:  # noqa: ASYNC110
                await asyncio.sleep(_TICK_S / 2)
            if self._ended:
                break
            self.struck.append(await self._hand.strike(fault))
        await self._hand.lifted()

    async def _settled(self) -> None:
        """Set `_ended` when the ledger calls the alert, and its cancel, done."""
        async with Runtime.open(self._runtime_settings) as runtime:
            while True:
                with suppress(*AWAY):
                    async with runtime.db.begin() as connection:
                        ids = [self.alert_id, *([self.notice_id] if self.notice_id else [])]
                        found = [await alerts.get(connection, i) for i in ids]
                        done = all(a is not None and a.finished_at is not None for a in found)
                        if done and self._order.scenario.receipts:
                            done = await court.receipts_open(connection) == 0
                        self._ended = done
                await asyncio.sleep(0.25)

    async def _cancel(self) -> dict[str, Any]:
        answer = await self._client.cancel(self.alert_id)
        self.notice_id = UUID(answer["notice"]["id"]) if answer.get("notice") else None
        return {"notice": answer.get("notice"), "reached": answer.get("reached")}

    def _quiet(self) -> bool:
        lines = self.logs.lines
        last = max((line.at for line in lines[-200:]), default=None)
        return last is None or (datetime.now(UTC) - last).total_seconds() > _QUIET_S


def _alert(example: bytes, order: Order, now: datetime) -> Alert:
    alert = sent_now(read(example).alerts[0], now)
    infos = tuple(replace(i, severity=order.scenario.severity) for i in alert.infos)
    return replace(alert, identifier=f"chaos-{order.name}-{order.seed}", infos=infos)


async def _town(
    runtime: Runtime, alert: Alert, push_base: str, order: Order
) -> list[SyntheticCitizen]:
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


def _calm(order: Order, expected: int) -> dict[str, Any]:
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


def _report(
    order: Order,
    config: Settings,
    play: _Play,
    ledger: Mapping[int, court.Row],
    chunks: int,
    cancelled_at: datetime | None,
    seconds: float,
) -> Report:
    scenario = order.scenario
    lines = court.of_alert(play.logs.lines, ledger, play.alert_id)
    rows = {i: r for i, r in ledger.items() if r.alert_id == play.alert_id}
    struck, want = play.struck, play.want
    recovery_s = recoveries(struck, lines)
    cancel_s = last_after_s(cancelled_at, lines)
    if play.notice_id is not None:
        # Exactly those whom the alert reached are told that it is over.
        want = court.Wanted(
            [frozenset({told}) for told in sorted({(x.channel, x.to) for x in lines})]
        )
        lines = court.of_alert(play.logs.lines, ledger, play.notice_id)
        rows = {i: r for i, r in ledger.items() if r.alert_id == play.notice_id}
    processes = play.system_lines
    elsewhere = attribute(processes.doubted, struck)
    judgement = court.judge(want, lines, rows)
    providers = Counter(r.provider for r in rows.values() if r.provider)
    course = Course(
        scenario=scenario,
        judgement=judgement,
        struck=struck,
        planned=play.planned,
        recovery_s=recovery_s,
        in_doubt_elsewhere=elsewhere,
        window=config.window,
        chunks=chunks,
        stuck=play.stuck,
        cancel_s=cancel_s,
        providers=providers,
    )
    disagree = disagreements(lines, rows) if scenario.receipts else None
    return Report(
        scenario=order.name,
        command=order.command,
        seed=order.seed,
        citizens=order.citizens,
        expected=play.expected,
        planned=play.planned,
        struck=struck,
        recovery_s=recovery_s,
        judgement=judgement,
        in_doubt_elsewhere=elsewhere,
        fenced=processes.fenced,
        errors=processes.errors,
        providers=providers,
        criteria=criteria(course, disagree=disagree),
        seconds=seconds,
    )

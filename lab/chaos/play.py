"""The play: the alert in flight, the faults injected meanwhile, and its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from alerting.audience.synthetic import SyntheticCitizen
from alerting.bootstrap import Runtime
from alerting.domain.alert import Alert
from alerting.domain.lane import lane_of
from alerting.domain.principal import internal
from alerting.settings import Settings
from alerting.store.admin import api_keys
from alerting.store.alerts import stored_alerts
from alerting.store.db import AWAY
from lab.chaos import judge
from lab.chaos.client import Client
from lab.chaos.fault_injector import FaultInjector, Injected
from lab.chaos.run_config import RunConfig, alert_of, base_faults_of, citizens_of, second_of
from lab.chaos.system import System
from lab.chaos.watch import CarrierLogs, Line, ProcessLines

_TICK_S = 0.05
#: After this time without a message nothing is in flight any more.
_QUIET_S = 2.0
#: A run that takes this many times its span, at no more than this many messages a second, is stuck.
_STUCK = 4.0
_STUCK_S = 120.0
_SLOWEST = 200


@dataclass(frozen=True, slots=True)
class Second:
    """A second alert, sent while a fault lasts.

    Attributes:
        answered_s: Until submitting it was answered.
    """

    alert_id: UUID
    want: judge.Wanted
    submitted_at: datetime
    answered_s: float


class Play:
    """The alert in flight, and the faults injected meanwhile."""

    def __init__(
        self,
        system: System,
        run_config: RunConfig,
        shifts: Path,
        *,
        runtime_settings: Settings,
        alert: Alert,
        citizens: Sequence[SyntheticCitizen],
        client: Client,
    ) -> None:
        self._system, self._run_config = system, run_config
        self._runtime_settings = runtime_settings
        self.alert, self._citizens = alert, citizens
        self.want = self._wanted(alert)
        self._client = client
        self.logs = CarrierLogs([c.var for c in system.carriers], system.push_base)
        self._plan = run_config.scenario.plan(Random(run_config.seed), run_config.parameters)  # noqa: S311
        self.expected = len(self.want.any_of)
        self._injector = FaultInjector(
            system,
            lines=lambda: len(self.logs.lines),
            cancel=self._cancel,
            submit=self._submit,
            base_faults=base_faults_of(run_config, self.want),
            shifts=shifts,
        )
        self.struck: list[Injected] = []
        self.alert_id = UUID(int=0)
        self.notice_id: UUID | None = None
        self.second: Second | None = None
        self.stuck = False
        self._ended = False

    @property
    def planned(self) -> int:
        return len(self._plan)

    @staticmethod
    async def open(system: System, example: bytes, run_config: RunConfig, shifts: Path) -> Play:
        engines = system.engines
        known = {"database_url": engines.database_url, "redis_url": engines.redis_url}
        config = system.config.model_copy(update=known)
        async with Runtime.open(config) as runtime:
            alert = alert_of(example, run_config, runtime.clock.now())
            citizens = await citizens_of(runtime, alert, system.push_base, run_config)
            async with runtime.db.begin() as connection:
                key = await api_keys.create(
                    connection, "chaos", api_keys.USUAL_RIGHTS, senders=("*",), by=internal("chaos")
                )
        # What is asked from outside while the alert goes out.
        config = config.model_copy(update={"database_url": system.database_url})
        return Play(
            system,
            run_config,
            shifts,
            runtime_settings=config,
            alert=alert,
            citizens=citizens,
            client=Client(f"http://{config.local_host}:{config.port}", key),
        )

    async def go(self) -> None:
        """Submit, inject, and wait until everything is settled or never will be."""
        await self._injector.restore_carriers()
        self.alert_id = await self._client.submit(self.alert)
        striking = asyncio.create_task(self._strike())
        ending = asyncio.create_task(self._settled())
        span_s = self._run_config.scenario.span(self._run_config.parameters)
        limit = time.monotonic() + _STUCK_S + _STUCK * span_s + self.expected / _SLOWEST
        try:
            while not (self._ended and striking.done() and self._quiet()):
                if striking.done():
                    striking.result()
                if time.monotonic() > limit:
                    self.stuck = True
                    return
                count = self.logs.read_on()
                self._run_config.progress(count, self.expected, len(self.struck), len(self._plan))
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
        """When the cancel took effect; None without one."""
        if self.notice_id is None:
            return None
        return await judge.committed_at(self._system.database_url, self.notice_id)

    async def _strike(self) -> None:
        for fault in self._plan:
            # Nothing rings when a carrier's log has grown.
            while len(self.logs.lines) < fault.at * self.expected and not self._ended:  # noqa: ASYNC110
                await asyncio.sleep(_TICK_S / 2)
            if self._ended:
                break
            self.struck.append(await self._injector.strike(fault))
        await self._injector.lifted()

    async def _settled(self) -> None:
        """Set `_ended` when the ledger has the alert, and its cancel, as done."""
        async with Runtime.open(self._runtime_settings) as runtime:
            while True:
                with suppress(*AWAY):
                    async with runtime.db.begin() as connection:
                        ids = [self.alert_id, *([self.notice_id] if self.notice_id else [])]
                        ids += [self.second.alert_id] if self.second else []
                        found = [await stored_alerts.get(connection, i) for i in ids]
                        done = all(a is not None and a.finished_at is not None for a in found)
                        if done and self._run_config.scenario.receipts:
                            done = await judge.receipts_open(connection) == 0
                        self._ended = done
                await asyncio.sleep(0.25)

    async def _cancel(self) -> dict[str, Any]:
        answer = await self._client.cancel(self.alert_id)
        self.notice_id = UUID(answer["notice"]["id"]) if answer.get("notice") else None
        return {"notice": answer.get("notice"), "reached": answer.get("reached")}

    async def _submit(self) -> dict[str, Any]:
        at, begun = datetime.now(UTC), time.monotonic()
        alert = second_of(self.alert, self._run_config, at)
        alert_id = await self._client.submit(alert)
        answered_s = time.monotonic() - begun
        self.second = Second(alert_id, self._wanted(alert), at, answered_s)
        return {"alert": str(alert_id), "answered_s": round(answered_s, 3)}

    def _wanted(self, alert: Alert) -> judge.Wanted:
        every = lane_of(alert) in self._runtime_settings.all_channels_lanes
        return judge.wanted(alert, self._citizens, all_channels=every)

    def wanted_of_end(self, lines: Sequence[Line]) -> judge.Wanted:
        """Whom the alert's end has to notify, by the carriers' logs of the alert."""
        return judge.wanted_of_end(lines, self._citizens)

    def _quiet(self) -> bool:
        lines = self.logs.lines
        last = max((line.at for line in lines[-200:]), default=None)
        return last is None or (datetime.now(UTC) - last).total_seconds() > _QUIET_S

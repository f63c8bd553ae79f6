"""Run the demo: start everything, make a town, send one alert, judge what arrived."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import platform
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import shapely

from alerting.audience.synthetic import SyntheticCitizen, generate, store
from alerting.bootstrap import Runtime
from alerting.cap import read, to_xml
from alerting.demo.judge import Judgement, Told, expected_audience, judge
from alerting.dispatch.status import AlertStatus, status
from alerting.domain.alert import Alert
from alerting.domain.geometry import ring_shape
from alerting.domain.lane import lane_of
from alerting.domain.principal import internal
from alerting.domain.retime import sent_now
from alerting.embedded.carriers import CARRIERS, PUSH_SEED, Carrier, read_log, subscription
from alerting.errors import WorkFailed
from alerting.settings import Settings
from alerting.store.admin import api_keys

#: How long receipts may trail behind the last message.
RECEIPTS_S = 15.0

LANGUAGES = {"en": 0.75, "es": 0.25}


@dataclass(frozen=True, slots=True)
class Result:
    """What the demo saw: the ledger's numbers and the judge's."""

    status: AlertStatus
    judgement: Judgement
    citizens: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        judged = asdict(self.judgement)
        told = sum(c.accepted for c in self.status.channels.values())
        return {
            "citizens": self.citizens,
            "audience": self.status.audience,
            **judged,
            "seconds": round(self.seconds, 3),
            "messages_per_s": round(told / self.seconds, 1) if self.seconds else None,
            "channels": {n: asdict(c) for n, c in self.status.channels.items()},
            "alert": self.status.to_json() | {"channels": None},
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
            "version": importlib.metadata.version("alerting"),
        }


def demo_settings(settings: Settings) -> Settings:
    """The same settings on the sandbox, a folder of its own, and ports nobody else uses."""
    api, http, smtp = _free_ports(3)
    return Settings(
        **settings.model_dump(
            exclude={
                "var", "port", "public_url", "carriers", "sandbox_port", "sandbox_smtp_port",
                "database_url", "redis_url", "broker_url", "host",
            }
        ),
        var=settings.var / "demo",
        host="127.0.0.1",
        port=api,
        carriers="sandbox",
        sandbox_port=http,
        sandbox_smtp_port=smtp,
    )  # fmt: skip


async def run(
    config: Settings,
    example: bytes,
    *,
    citizens: int,
    seed: int,
    say: Callable[[str], None],
    progress: Callable[[AlertStatus], None],
) -> Result:
    """Make the citizens, submit the example by REST, follow it, and judge it.

    Everything in `config` must be running. Raises WorkFailed when the API refuses the alert.
    """
    async with Runtime.open(config) as runtime:
        alert = sent_now(read(example).alerts[0], runtime.clock.now())
        # A run of its own each time, over the same data.
        alert = replace(alert, identifier=f"{alert.identifier}-{alert.sent:%Y%m%dT%H%M%S}")
        town = await _town(runtime, alert, config, citizens, seed)
        say(f"{len(town):,} synthetic citizens in and around {alert.infos[0].areas[0].area_desc}")
        before = {name: _size(config.var, name) for name in CARRIERS}
        async with runtime.db.begin() as connection:
            key = await api_keys.create(
                connection, f"demo-{alert.sent:%Y%m%dT%H%M%S}", api_keys.USUAL_RIGHTS,
                senders=(alert.sender,), by=internal("demo"),
            )  # fmt: skip
        alert_id = await _submit(config, alert, key)
        found = await _follow(runtime, alert_id, progress)
        expected = expected_audience(
            alert, town, all_channels=lane_of(alert) in config.all_channels_lanes
        )
        judgement = judge(expected, _received(config, before))
        start = found.submitted_at
        end = found.finished_at or runtime.clock.now()
        return Result(found, judgement, len(town), (end - start).total_seconds())


async def _town(
    runtime: Runtime, alert: Alert, config: Settings, count: int, seed: int
) -> list[SyntheticCitizen]:
    """A fresh directory of `count` citizens around the alert's polygons."""
    rings = [p.points for i in alert.infos for a in i.areas for p in a.polygons]
    area = shapely.union_all([ring_shape(r) for r in rings])

    def make_push(name: str) -> tuple[str, Mapping[str, str]]:
        return subscription(_carriers(config), PUSH_SEED, name)

    town = await asyncio.to_thread(
        generate, count, area, seed=seed, make_push=make_push, languages=LANGUAGES
    )
    async with runtime.db.begin() as connection:
        await store(connection, town)
    return town


async def _submit(config: Settings, alert: Alert, key: str) -> UUID:
    url = f"http://{config.local_host}:{config.port}/v1/alerts"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cap+xml"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=to_xml(alert), headers=headers) as answer,
    ):
        document = await answer.json(content_type=None)
        if answer.status not in {200, 202}:
            raise WorkFailed(f"The API refused the alert: {document}.")
        return UUID(document["id"])


async def _follow(
    runtime: Runtime, alert_id: UUID, progress: Callable[[AlertStatus], None]
) -> AlertStatus:
    """Wait until all is settled, then until the SMS receipts are in or their time is over."""
    loop = asyncio.get_running_loop()
    end: float | None = None
    while True:
        async with runtime.db.begin() as connection:
            found = await status(connection, alert_id)
        progress(found)
        if found.settled:
            sms = found.channels.get("sms")
            end = end or loop.time() + RECEIPTS_S
            if sms is None or sms.delivered >= sms.accepted or loop.time() > end:
                return found
        await asyncio.sleep(0.25)


def _received(config: Settings, before: Mapping[Carrier, int]) -> list[Told]:
    """What the carriers wrote down since `before`."""
    lines = [
        (channel, str(line["to"]))
        for channel, count in before.items()
        for line in list(read_log(config.var, channel))[count:]
    ]
    # A push service knows its subscriptions by name; we know them by address.
    return [(c, f"{_carriers(config)}/push/{to}" if c == "push" else to) for c, to in lines]


def _carriers(config: Settings) -> str:
    return f"http://{config.local_host}:{config.sandbox_port}"


def _size(var: Path, channel: Carrier) -> int:
    return len(list(read_log(var, channel)))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def write(result: Result, path: Path) -> None:
    """Keep the numbers for whoever wants them later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        path.unlink()
    path.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")

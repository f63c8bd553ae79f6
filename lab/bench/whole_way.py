"""The whole way on this machine: citizens, an alert, workers, a stub of the provider, and the
outcome."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import shapely
from sqlalchemy import text

from alerting import examples
from alerting.audience.synthetic import MakePush, SyntheticCitizen, generate, store
from alerting.bootstrap import Runtime
from alerting.cap import read, to_xml
from alerting.dispatch.intake.submit import submit
from alerting.dispatch.status import AlertStatus, status
from alerting.domain.geometry import ring_shape
from alerting.domain.principal import internal
from alerting.embedded import engines
from alerting.embedded.supervisor import Spec, Supervisor
from alerting.errors import WorkFailed
from alerting.settings import Settings
from alerting.store.migrate import migrate

_PATIENCE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Done:
    """How long an alert took from its submission to the last delivery in the ledger."""

    citizens: int
    messages: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.messages / self.seconds


def town(
    count: int, channel: str, *, seed: int, make_push: MakePush | None = None
) -> list[SyntheticCitizen]:
    """`count` citizens inside the example's area, each with an address of this one channel."""
    alert = read(examples.FLOOD.read_bytes()).alerts[0]
    rings = [p.points for i in alert.infos for a in i.areas for p in a.polygons]
    area = shapely.union_all([ring_shape(r) for r in rings])
    made: list[SyntheticCitizen] = []
    while len(made) < count:
        some = generate(
            count * 2,
            area,
            seed=seed + len(made),
            make_push=make_push or (lambda name: (f"https://push.example.org/{name}", {})),
            languages={"en": 0.75, "es": 0.25},
            first=len(made) * 10,
        )
        made += [
            replace(c, channels=(channel,), endpoints={channel: c.endpoints[channel]})
            for c in some
            if channel in c.endpoints and shapely.intersects_xy(area, c.lon, c.lat)
        ]
    return made[:count]


@asynccontextmanager
async def machine(
    settings: Settings, *, lanes: str, postgres_config: Mapping[str, str] | None = None
) -> AsyncIterator[Settings]:
    """Engines and one worker group over `settings.var`; yields the settings with their URLs.

    Args:
        postgres_config: See `embedded.postgres.start`.
    """
    with engines.start(settings.var, postgres_config=postgres_config) as running:
        urls = {
            "database_url": running.database_url,
            "redis_url": running.redis_url,
            "broker_url": running.redis_url,
        }
        config = settings.model_copy(update=urls)
        await asyncio.to_thread(migrate, running.database_url)
        worker = Spec(
            "worker",
            (
                sys.executable, "-m", "celery", "-A", "worker", "worker", "-Q", lanes,
                "-c", str(config.workers), "-n", "bench@%h", "-l", "WARNING",
                "--without-gossip", "--without-mingle",
            ),
            config.to_environment(),
            stop_s=40,
        )  # fmt: skip
        async with Supervisor([worker], quiet=True):
            yield config


async def send_one(config: Settings, citizens: list[SyntheticCitizen]) -> Done:
    """Store the citizens, submit the example, wait until every delivery is settled."""
    async with Runtime.open(config) as runtime:
        async with runtime.db.begin() as connection:
            await store(connection, citizens)
        alert = read(examples.FLOOD.read_bytes()).alerts[0]
        await warm(runtime)
        start = time.perf_counter()
        alert_id = await record_outcomes(runtime, to_xml(alert))
        seconds = time.perf_counter() - start
        return Done(len(citizens), await accepted(runtime, alert_id), seconds)


async def record_outcomes(runtime: Runtime, data: bytes) -> UUID:
    """Submit this alert and return when every delivery is settled."""
    submitted = await submit(
        runtime.db,
        data,
        principal=internal("bench"),
        now=True,
        clock=runtime.clock,
        notifier=runtime.notifier,
    )
    start = time.monotonic()
    while True:
        await asyncio.sleep(0.1)
        async with runtime.db.begin() as connection:
            state = await connection.scalar(
                text("select state from alert where id = :id"), {"id": submitted.alert_id}
            )
        if state == "completed":
            return submitted.alert_id
        if time.monotonic() - start > _PATIENCE_S:
            raise WorkFailed("The alert was not completed within half an hour.")


async def accepted(runtime: Runtime, alert_id: UUID) -> int:
    """The number of its deliveries that the ledger has as accepted."""
    async with runtime.db.begin(patient=True) as connection:
        found: AlertStatus = await status(connection, alert_id)
    return sum(c.accepted for c in found.channels.values())


async def warm(runtime: Runtime) -> None:
    """Return when a worker is there to answer."""
    while True:
        async with runtime.db.begin() as connection:
            there = await connection.scalar(
                text("select count(*) from pg_locks where locktype = 'advisory' and objsubid = 2")
            )
        if there and there >= runtime.settings.workers:
            return
        await asyncio.sleep(0.1)

"""A channel that is nothing but a spec goes the whole way, from the register to its reports."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from beacon import Beacons, beacon
from dispatch_harness import ManualWorker, OrderedPrecedence
from redis.asyncio import Redis
from sqlalchemy import func, update

from alerting.audience.importing import Report, import_file
from alerting.bootstrap import Runtime
from alerting.cap import to_xml
from alerting.channels import registry
from alerting.channels.spec import ChannelSpec
from alerting.clock import ManualClock
from alerting.dispatch.evaluation import policies
from alerting.dispatch.evaluation.explain import explain
from alerting.dispatch.intake.submit import submit
from alerting.domain.alert import Alert, Severity
from alerting.domain.lane import Lane
from alerting.domain.principal import internal
from alerting.errors import BadInput
from alerting.settings import Settings
from alerting.store.ledger import delivery_queries, receipt_intake
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.schema import outbox
from alerting.throttle.budget.redis_budget import RedisBudget, connect
from alerting.worker import make_worker, precedence_of

#: A subscription that its own keys can never work for: the adapter says so and calls nobody.
DEAD = '{"endpoint": "https://push.example.org/x", "keys": {"p256dh": "p", "auth": "a"}}'

#: In the example's polygon.
HOME = ("54.53", "2.51")


@pytest.fixture
def beacons() -> Beacons:
    return Beacons()


@pytest.fixture
def spec(beacons: Beacons, monkeypatch: pytest.MonkeyPatch) -> ChannelSpec:
    made = beacon(beacons)
    monkeypatch.setitem(registry.SPECS, made.name, made)
    return made


@dataclass
class Centre:
    """The system as its own bootstrap puts it together, on a clock of its own."""

    runtime: Runtime
    clock: ManualClock
    worker: ManualWorker
    redis: Redis
    folder: Path

    async def register(self, *rows: dict[str, str]) -> Report:
        """Import these citizens, who live in the area."""
        path = self.folder / "register.csv"
        names = ["ref", "language", "lat", "lon", *dict.fromkeys(k for r in rows for k in r)]
        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, list(dict.fromkeys(names)))
            out.writeheader()
            for row in rows:
                out.writerow({"language": "en", "lat": HOME[0], "lon": HOME[1], **row})
        return await import_file(self.runtime.db, path, errors=self.errors)

    @property
    def errors(self) -> Path:
        return self.folder / "errors.csv"

    async def send(self, alert: Alert) -> UUID:
        done = await submit(
            self.runtime.db,
            to_xml(alert),
            clock=self.clock,
            notifier=self.runtime.notifier,
            principal=internal("test"),
            now=True,
        )
        await self.work()
        return done.alert_id

    async def work(self) -> None:
        """Do all that waits, and all that comes of it."""
        for _ in range(4):
            await self.worker.sweep()
            await self.runtime.maintenance().run_once()
            async with self.runtime.db.begin() as c:
                # A sweep leaves alone what has just become due.
                long_ago = func.now() - timedelta(minutes=1)
                await c.execute(update(outbox).values(not_before=long_ago))

    async def story(self, alert_id: UUID) -> dict[tuple[str, str], str]:
        async with self.runtime.db.begin() as c:
            rows = await delivery_queries.page(c, alert_id, after=0, limit=100)
        return {(r["citizen"], r["channel"]): f"{r['state']} {r['reason']}" for r in rows}

    async def report(self, alert_id: UUID, citizen: str, status: str) -> None:
        async with self.runtime.db.begin() as c:
            rows = await delivery_queries.page(c, alert_id, after=0, limit=100)
            (id_,) = [r["id"] for r in rows if (r["citizen"], r["channel"]) == (citizen, "beacon")]
            await receipt_intake.add(c, [NewReceipt("beacon", id_, f"lamp-{id_}", status, "")])
        await self.work()


@pytest.fixture
async def centre(
    spec: ChannelSpec, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Centre]:
    settings = Settings(
        database_url=database_url, redis_url=redis_url, broker_url=redis_url, var=tmp_path
    )
    clock = ManualClock(datetime.now(UTC))
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime.open(settings, clock=clock))
        routes = await stack.enter_async_context(runtime.routes())
        redis = connect(redis_url)
        stack.push_async_callback(redis.aclose)
        evaluator = runtime.evaluator(runtime.policies(), RedisBudget(redis))
        precedence = precedence_of(OrderedPrecedence, runtime, tuple(Lane))
        worker = make_worker(ManualWorker, runtime, routes, evaluator, precedence)
        yield Centre(runtime, clock, worker, redis, tmp_path)


def sent_now(alert: Alert, centre: Centre, **changes: object) -> Alert:
    now = centre.clock.now()
    infos = tuple(
        replace(i, onset=None, expires=now + timedelta(hours=20), **changes)  # type: ignore[arg-type]
        for i in alert.infos
    )
    return replace(alert, sent=now, infos=infos)


async def test_import_accepts_addresses_and_reports_errors(centre: Centre) -> None:
    done = await centre.register(
        {"ref": "good", "beacon": "abc-001"}, {"ref": "bad", "beacon": "lamp 7"}
    )
    assert (done.added, done.refused) == (1, 1)
    refusal = centre.errors.read_text("utf-8")
    assert "beacon: 'lamp 7' names no beacon." in refusal
    assert "Write it as ABC-001." in refusal
    done = await centre.register({"ref": "odd", "beacon": "ABC-002", "channels": "beakon"})
    assert done.refused == 1
    assert "use push, sms, email, beacon" in centre.errors.read_text("utf-8")


async def test_escalation_and_receipts_work(centre: Centre, beacons: Beacons, flood: Alert) -> None:
    await centre.register(
        {"ref": "one", "push": DEAD, "beacon": "ABC-001"},
        {"ref": "two", "beacon": "ABC-002"},
    )
    alert_id = await centre.send(sent_now(flood, centre))
    assert await centre.story(alert_id) == {
        ("one", "push"): "failed dead-address",
        ("one", "beacon"): "accepted unreached",
        ("two", "beacon"): "accepted new",
    }
    assert {m.endpoint for m in beacons.shown} == {"ABC-001", "ABC-002"}
    assert {m.rendering.channel for m in beacons.shown} == {"beacon"}
    await centre.report(alert_id, "one", "lit")
    await centre.report(alert_id, "two", "dark")
    story = await centre.story(alert_id)
    assert story["one", "beacon"] == "delivered unreached"
    assert story["two", "beacon"] == "failed unreachable"
    async with centre.runtime.db.begin() as c:
        (_, found) = await explain(c, alert_id, "one", now=centre.clock.now())
    assert found.channel == "beacon"
    assert found.sentence


async def test_digest_after_quiet_hours(centre: Centre, beacons: Beacons, flood: Alert) -> None:
    await centre.register({"ref": "one", "beacon": "ABC-001", "quiet": "22:00-07:00"})
    centre.clock.at = datetime(2026, 11, 24, 23, tzinfo=UTC)
    for event in ("Flood", "Wildfire"):
        changed = {"severity": Severity.MODERATE, "event": event, "headline": event}
        alert = sent_now(flood, centre, **changed)
        await centre.send(replace(alert, identifier=event))
        centre.clock.advance(60)
    assert beacons.shown == []
    centre.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    await centre.work()
    (shown,) = beacons.shown
    assert shown.rendering.text == "Wildfire / Flood"


@pytest.mark.parametrize("toml", ["", "[pace.beacon]\nper_second = 500\n"])
async def test_rate_of_policy_or_own_default(
    centre: Centre, beacons: Beacons, flood: Alert, toml: str
) -> None:
    if toml:
        async with centre.runtime.db.begin() as c:
            await policies.set_live(c, toml, by=internal("test"))
    await centre.register({"ref": "one", "beacon": "ABC-001"})
    await centre.send(sent_now(flood, centre))
    assert len(beacons.shown) == 1
    # What the workers share of a sender is there only where its rate is limited.
    assert await centre.redis.exists("alerting:{pace-beacon.1}")


async def test_policy_with_unknown_channel_is_refused(centre: Centre) -> None:
    with pytest.raises(BadInput, match=r"Did you mean pace\.beacon"):
        async with centre.runtime.db.begin() as c:
            await policies.set_live(c, "[pace.beakon]\nper_second = 5\n", by=internal("test"))

"""Redis killed, wiped and stopped while alerts of every lane flow: what each lane did."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dispatch_harness import DispatchHarness
from redis.asyncio import Redis as Client

from alerting.cap import read, to_xml
from alerting.clock import ManualClock
from alerting.dispatch.evaluation import policies
from alerting.domain.alert import Alert, Severity
from alerting.domain.principal import internal
from alerting.embedded import redis as embedded
from alerting.store.alerts import stored_alerts
from alerting.throttle.budget import Answer, Ask, Limits
from alerting.throttle.budget.redis_budget import RedisBudget, connect

TIMEOUT_S = 0.05
FOR_EVER_S = 3600.0
EVENTS = {
    Severity.EXTREME: "Earthquake",
    Severity.SEVERE: "Flood",
    Severity.MODERATE: "Wildfire",
    Severity.MINOR: "Fog",
}


class PatientBudget(RedisBudget):
    """While it is patient, whoever asks it waits for Redis for ever."""

    patient = False

    async def ask(
        self,
        occasion: str,
        asks: Sequence[Ask],
        limits: Limits,
        *,
        timeout_s: float | None = None,
    ) -> list[Answer]:
        timeout_s = FOR_EVER_S if self.patient else timeout_s
        return await super().ask(occasion, asks, limits, timeout_s=timeout_s)


@dataclass
class Failing:
    """A Redis of our own, and a harness whose budgets it holds."""

    server: embedded.Redis
    client: Client
    harness: DispatchHarness
    first: Alert

    def signal(self, sig: signal.Signals) -> None:
        os.kill(self.server.pid, sig)

    async def issue(self, severity: Severity) -> None:
        """Send an alert of this severity to everybody."""
        harness = self.harness
        sent = harness.clock.now()
        infos = tuple(
            replace(
                i,
                event=EVENTS[severity],
                headline=EVENTS[severity],
                severity=severity,
                expires=sent + timedelta(hours=8),
                onset=None,
            )
            for i in self.first.infos
        )
        alert = replace(self.first, identifier=severity.value, sent=sent, infos=infos)
        await harness.submit(to_xml(alert), now=False)
        await self.work()

    async def work(self) -> None:
        await self.harness.due_now()
        await self.harness.worker().sweep()

    async def notified(self, severity: Severity) -> dict[tuple[str, str], int]:
        async with self.harness.db.begin() as connection:
            alert_id = await stored_alerts.resolve(connection, severity.value)
        found: dict[tuple[str, str], int] = {}
        for (_, state, reason), n in (await self.harness.ledger(alert_id)).items():
            found[state, reason] = found.get((state, reason), 0) + n
        return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[embedded.Redis]:
    running = embedded.start(tmp_path / "redis")
    yield running
    os.kill(running.pid, signal.SIGCONT)
    running.stop()


@pytest.fixture
async def failing(
    harness: DispatchHarness, server: embedded.Redis, alert_xml: bytes
) -> AsyncIterator[Failing]:
    # Budgets are held for a while from when the database took an alert: its clock is ours.
    harness.clock = ManualClock(datetime.now(UTC))
    harness.__post_init__()
    client = connect(server.url)
    harness.budget = PatientBudget(client, now_s=lambda: harness.clock.now().timestamp())
    async with harness.db.begin() as connection:
        awake = f'[quiet]\nfrom = "03:00"\nto = "03:00"\n[redis]\ntimeout_s = {TIMEOUT_S}\n'
        await policies.set_live(connection, awake, by=internal("test"))
    yield Failing(server, client, harness, read(alert_xml).alerts[0])
    await client.aclose()


def be_patient(f: Failing, *, patient: bool = True) -> None:
    """Wait for an answer, however long it takes: a busy machine's Redis is not one that failed."""
    assert isinstance(f.harness.budget, PatientBudget)
    f.harness.budget.patient = patient


def kill(f: Failing) -> None:
    f.signal(signal.SIGKILL)


def stop(f: Failing) -> None:
    """It takes connections and never answers."""
    f.signal(signal.SIGSTOP)


@pytest.mark.parametrize("fail", [kill, stop])
async def test_outage_sends_severe_at_once_and_delays_minor(failing: Failing, fail: object) -> None:
    assert callable(fail)
    fail(failing)
    be_patient(failing)
    async with asyncio.timeout(300):
        for severity in (Severity.EXTREME, Severity.SEVERE):
            await failing.issue(severity)
            assert {state for state, _ in await failing.notified(severity)} == {"accepted"}
    be_patient(failing, patient=False)
    await failing.issue(Severity.MODERATE)
    assert {state for state, _ in await failing.notified(Severity.MODERATE)} == {"accepted"}
    await failing.issue(Severity.MINOR)
    assert set(await failing.notified(Severity.MINOR)) == {("deferred", "no-budget")}
    # Ten minutes on nobody waits for it any longer; the worker's own budget still says when. The
    # database's clock has gone on since ours was set.
    failing.harness.clock.advance(700)
    await failing.work()
    assert {state for state, _ in await failing.notified(Severity.MINOR)} == {"accepted"}


async def test_delayed_messages_resume_when_redis_returns(failing: Failing, tmp_path: Path) -> None:
    stop(failing)
    await failing.issue(Severity.MINOR)
    assert set(await failing.notified(Severity.MINOR)) == {("deferred", "no-budget")}
    failing.signal(signal.SIGCONT)
    be_patient(failing)
    failing.harness.clock.advance(31)
    await failing.work()
    assert {state for state, _ in await failing.notified(Severity.MINOR)} == {"accepted"}


async def test_emptied_redis_sends_rather_than_withholds(failing: Failing) -> None:
    be_patient(failing)
    await failing.issue(Severity.MODERATE)
    await failing.client.flushall()
    # Without the wipe this would wait ten minutes for its turn.
    await failing.issue(Severity.MINOR)
    assert {state for state, _ in await failing.notified(Severity.MINOR)} == {"accepted"}


async def test_budgets_hold_while_redis_answers(failing: Failing) -> None:
    be_patient(failing)
    await failing.issue(Severity.MODERATE)
    await failing.issue(Severity.MINOR)
    assert set(await failing.notified(Severity.MINOR)) == {("deferred", "budget-hour")}

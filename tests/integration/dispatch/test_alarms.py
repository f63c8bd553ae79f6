"""Operator alarms: one for each thing that is wrong, raised where nobody may wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from dispatch_harness import DispatchHarness
from ill_providers import Scripted, message

from alerting.channels.base import OUR_FAULT, PROVIDER_DOWN, ErrorClass, Outcome, Outgoing
from alerting.channels.spec import Provider
from alerting.dispatch import alarms as raising
from alerting.dispatch.alarms import Alarms
from alerting.domain.lane import Lane
from alerting.errors import NotFound
from alerting.providers.failover import Routes
from alerting.store.admin import stored_alarms
from alerting.store.admin.stored_alarms import Alarm
from alerting.store.db import Database


@pytest.fixture
async def alarm_sink(db: Database) -> AsyncIterator[Alarms]:
    alarm_sink = Alarms(db)
    yield alarm_sink
    await alarm_sink.drain()


async def open_now(db: Database) -> dict[tuple[str, str], Alarm]:
    async with db.begin() as c:
        return {(a.kind, a.subject): a for a in await stored_alarms.open_alarms(c)}


async def test_alarms_raised_together_are_logged_once(
    db: Database, alarm_sink: Alarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raising, "_AGAIN_S", 0)
    # Other tests may have set logging up already, which capture_logs cannot undo.
    lines = structlog.testing.CapturingLogger()
    monkeypatch.setattr(raising, "log", lines)
    for _ in range(20):
        alarm_sink.open("provider-down", "sms.1", "It fails.")
    alarm_sink.open("provider-down", "sms.2", "It fails too.")
    await alarm_sink.drain()
    found = await open_now(db)
    assert {k: a.count for k, a in found.items()} == {
        ("provider-down", "sms.1"): 20, ("provider-down", "sms.2"): 1,
    }  # fmt: skip
    said = [(c.args[0], c.kwargs["subject"]) for c in lines.calls if c.method_name == "error"]
    assert sorted(said) == [("alarm.open", "sms.1"), ("alarm.open", "sms.2")]


async def test_alarm_count_is_not_written_per_message(db: Database, alarm_sink: Alarms) -> None:
    for _ in range(1000):
        alarm_sink.open("provider-down", "sms.1", "It fails.")
    await alarm_sink.drain()
    [alarm] = (await open_now(db)).values()
    assert alarm.count == 1


async def test_alarm_closes_and_opens_again(db: Database, alarm_sink: Alarms) -> None:
    for _ in range(2):
        alarm_sink.open("provider-down", "sms.1", "It fails.")
        await alarm_sink.drain()
        [alarm] = (await open_now(db)).values()
        alarm_sink.close("provider-down", "sms.1")
        await alarm_sink.drain()
        assert await open_now(db) == {}
        async with db.begin() as c:
            closed = await stored_alarms.close_one(c, alarm.id, by="cli:late")
        assert closed.closed_by == "system"
    async with db.begin() as c:
        with pytest.raises(NotFound):
            await stored_alarms.close_one(c, 10**9, by="cli:a")


async def test_raise_alarm_returns_without_database() -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/none")
    alarm_sink = Alarms(db)
    alarm_sink.open("provider-down", "sms.1", "It fails.")
    alarm_sink.close("provider-down", "sms.1")
    await alarm_sink.drain()
    await db.close()


def says(error: ErrorClass | None, code: str = "") -> object:
    return lambda m: Outcome(m.delivery_id, error, provider_code=code)


async def send(routes: Routes, count: int) -> list[Outcome]:
    return await asyncio.gather(
        *(routes.send("sms", message(n), Lane.ROUTINE, "t") for n in range(count))
    )


async def test_alarm_names_refusal_code_while_others_succeed(
    harness: DispatchHarness, alarm_sink: Alarms
) -> None:
    def answer(m: Outgoing) -> Outcome:
        return Outcome(m.delivery_id, OUR_FAULT if m.delivery_id == 3 else None, "", "21408")

    routes = Routes(
        {"sms": [Provider("sms.1", Scripted(answer=answer))]}, harness.rates(), alarm_sink
    )
    outcomes = await send(routes, 20)
    assert sum(o.accepted for o in outcomes) == 19
    await alarm_sink.drain()
    found = await open_now(harness.db)
    assert list(found) == [("provider-refuses-us", "sms.1")]
    assert "21408" in found["provider-refuses-us", "sms.1"].sentence


async def test_alarm_of_earlier_process_closes_after_success(
    harness: DispatchHarness, alarm_sink: Alarms
) -> None:
    for kind, subject in (
        ("provider-refuses-us", "sms.1"),
        ("provider-down", "sms.1"),
        ("no-provider-left", "sms"),
        ("provider-down", "sms.2"),
    ):
        alarm_sink.open(kind, subject, "Before.")
    await alarm_sink.drain()
    now = 0.0
    two = [Provider("sms.1", Scripted()), Provider("sms.2", Scripted())]
    routes = Routes({"sms": two}, harness.rates(), alarm_sink, now=lambda: now)
    await send(routes, 3)
    await alarm_sink.drain()
    assert len(await open_now(harness.db)) == 4
    now = 31.0
    await send(routes, 3)
    await alarm_sink.drain()
    # Nobody has called the second.
    assert list(await open_now(harness.db)) == [("provider-down", "sms.2")]


async def test_alarm_stays_open_while_provider_fails(
    harness: DispatchHarness, alarm_sink: Alarms
) -> None:
    now = 0.0
    ill = Scripted(answer=says(PROVIDER_DOWN))  # type: ignore[arg-type]
    routes = Routes({"sms": [Provider("sms.1", ill)]}, harness.rates(), alarm_sink, now=lambda: now)
    for _ in range(60):
        now += 1
        await send(routes, 10)
    await alarm_sink.drain()
    assert set(await open_now(harness.db)) == {
        ("provider-down", "sms.1"),
        ("no-provider-left", "sms"),
    }
    ill.answer = says(None)  # type: ignore[assignment]
    now += 60
    for _ in range(3):
        await send(routes, 1)
    await alarm_sink.drain()
    assert await open_now(harness.db) == {}

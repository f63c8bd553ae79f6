"""Whatever happens to alerts, PostgreSQL sees only moves that the tables of `domain` have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dispatch_harness import DispatchHarness
from moves import MOVES, moves_made, record_moves
from planners import planner_of
from sqlalchemy import func, text, update

from alerting.cap import to_xml
from alerting.channels.base import (
    AMBIGUOUS,
    DEAD_ADDRESS,
    PROVIDER_DOWN,
    TOO_LATE,
    ErrorClass,
    Outcome,
    Outgoing,
)
from alerting.dispatch.intake.cancel import cancel, revoke_all
from alerting.domain import alert_state, delivery, work_state
from alerting.domain.alert import Alert, MsgType, Severity, Urgency
from alerting.domain.principal import internal
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.schema import outbox

TABLES: dict[str, dict[Any, frozenset[Any]]] = {
    "delivery": delivery.TRANSITIONS,
    "alert": alert_state.TRANSITIONS,
    "outbox": work_state.TRANSITIONS,
}
#: What rows are written as. A version that comes late is superseded at once.
FIRST = {
    "delivery": {"planned"},
    "alert": {"held", "accepted", "recorded", "superseded"},
    "outbox": {"ready"},
}


@pytest.fixture
async def recorded(harness: DispatchHarness) -> AsyncIterator[DispatchHarness]:
    """A harness whose every move is judged when the test is over."""
    await record_moves(harness.db)
    yield harness
    for kind, table in TABLES.items():
        for was, became in await moves_made(harness.db, kind):
            allowed = table[was] if was else FIRST[kind]  # type: ignore[index]
            assert became in allowed, f"{kind}: {was} became {became}"


async def made(harness: DispatchHarness, kind: str = "delivery") -> set[tuple[str, str]]:
    return {m for m in await moves_made(harness.db, kind) if m[0]}


def answers(error: ErrorClass | None, harness: DispatchHarness) -> None:
    for channel in harness.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, error, provider_ref="" if error else "ok")


async def works(harness: DispatchHarness, *, after_s: float = 0) -> None:
    """Time passes, leases run out, and a new worker and maintenance do all that is due."""
    harness.clock.advance(after_s)
    async with harness.db.begin() as c:
        past = func.now() - text("interval '1 second'")
        await c.execute(update(outbox).where(outbox.c.state == "leased").values(lease_until=past))
    await harness.due_now()
    await harness.worker().sweep()
    await harness.maintenance().run_once()


async def report(harness: DispatchHarness, *words: str) -> None:
    rows = await _sms(harness)
    async with harness.db.begin() as c:
        for word in words:
            code = "30003" if word == "undelivered" else ""
            await receipt_intake.add(c, [NewReceipt("sms", i, "", word, code) for i in rows])
    await harness.maintenance().run_once()


async def _sms(harness: DispatchHarness) -> list[int]:
    async with harness.db.begin() as c:
        found = await c.scalars(text("select id from delivery where channel = 'sms'"))
        return list(found)


async def test_transitions_of_sent_and_reported(
    recorded: DispatchHarness, alert_xml: bytes
) -> None:
    await recorded.submit(alert_xml)
    await works(recorded)
    assert await made(recorded) == {("planned", "accepted")}
    await report(recorded, "delivered")
    # A contrary word comes too late.
    await report(recorded, "undelivered", "sent")
    assert await made(recorded) == {("planned", "accepted"), ("accepted", "delivered")}
    assert ("delivering", "completed") in await made(recorded, "alert")


async def test_transitions_of_reported_failure_with_next_channel(
    recorded: DispatchHarness, alert_xml: bytes
) -> None:
    await recorded.submit(alert_xml)
    await works(recorded)
    await report(recorded, "undelivered")
    await works(recorded)
    assert await made(recorded) == {("planned", "accepted"), ("accepted", "failed")}
    async with recorded.db.begin() as c:
        query = "select count(*) from delivery where follows is not null and state = 'accepted'"
        assert await c.scalar(text(query))


@pytest.mark.parametrize(
    ("error", "move"),
    [
        (DEAD_ADDRESS, ("planned", "failed")),
        (TOO_LATE, ("planned", "expired")),
        (AMBIGUOUS, ("planned", "in_doubt")),
    ],
)
async def test_transitions_of_each_refusal(
    recorded: DispatchHarness, alert_xml: bytes, error: ErrorClass, move: tuple[str, str]
) -> None:
    answers(error, recorded)
    await recorded.submit(alert_xml)
    await works(recorded)
    assert move in await made(recorded)


async def test_transitions_of_temporary_refusal(
    recorded: DispatchHarness, alert_xml: bytes
) -> None:
    answers(PROVIDER_DOWN, recorded)
    await recorded.submit(alert_xml)
    await works(recorded)
    assert await made(recorded) == set()
    answers(None, recorded)
    await works(recorded, after_s=600)
    assert await made(recorded) == {("planned", "accepted")}


async def in_doubt(harness: DispatchHarness, alert_xml: bytes) -> None:
    answers(AMBIGUOUS, harness)
    await harness.submit(alert_xml)
    await works(harness)
    assert await made(harness) == {("planned", "in_doubt")}


async def test_transitions_of_resend_in_doubt(recorded: DispatchHarness, alert_xml: bytes) -> None:
    await in_doubt(recorded, alert_xml)
    answers(None, recorded)
    await works(recorded, after_s=600)
    assert ("in_doubt", "accepted") in await made(recorded)


async def test_transitions_of_receipt_in_doubt(recorded: DispatchHarness, alert_xml: bytes) -> None:
    await in_doubt(recorded, alert_xml)
    await report(recorded, "delivered")
    assert ("in_doubt", "delivered") in await made(recorded)


async def test_transitions_of_expired_doubt(recorded: DispatchHarness, alert_xml: bytes) -> None:
    await in_doubt(recorded, alert_xml)
    answers(TOO_LATE, recorded)
    await works(recorded, after_s=600)
    assert ("in_doubt", "failed") in await made(recorded)
    async with recorded.db.begin() as c:
        reasons = list(await c.scalars(text("select reason from delivery where state = 'failed'")))
        alert_id = await c.scalar(text("select id from alert"))
    assert set(reasons) == {"in-doubt"}
    done = await cancel(
        recorded.db,
        alert_id,
        principal=internal("x"),
        clock=recorded.clock,
        notifier=recorded.notifier,
    )
    assert sum(done.reached.values()) == len(reasons)


async def test_transitions_of_worker_death_in_window(
    recorded: DispatchHarness, alert_xml: bytes
) -> None:
    def die(m: Outgoing) -> Outcome:
        raise asyncio.CancelledError

    for channel in recorded.channels.values():
        channel.answer = die
    await recorded.submit(alert_xml)
    with suppress(asyncio.CancelledError):
        await recorded.worker().sweep()
    answers(None, recorded)
    await works(recorded)
    assert ("planned", "in_doubt") in await made(recorded)
    assert ("leased", "ready") in await made(recorded, "outbox")


async def test_transitions_of_cancel_before_send(
    recorded: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await recorded.submit(alert_xml)
    plan = await recorded.claim("planner")
    await planner_of(recorded).run(plan)
    done = await cancel(
        recorded.db,
        submitted.alert_id,
        principal=internal("x"),
        clock=recorded.clock,
        notifier=recorded.notifier,
    )
    await revoke_all(recorded.db, recorded.clock, done.ended)
    assert await made(recorded) == {("planned", "revoked")}
    assert ("delivering", "cancelled") in await made(recorded, "alert")
    assert ("ready", "done") in await made(recorded, "outbox")


async def test_transitions_of_expiry_before_send(recorded: DispatchHarness, flood: Alert) -> None:
    await recorded.submit(to_xml(flood))
    plan = await recorded.claim("planner")
    await planner_of(recorded).run(plan)
    async with recorded.db.begin() as c:
        await c.execute(text("update alert set expires_at = now() - interval '1 minute'"))
    recorded.clock.advance(60)
    await recorded.maintenance().run_once()
    await works(recorded)
    assert await made(recorded) == {("planned", "expired")}
    assert ("delivering", "expired") in await made(recorded, "alert")


async def test_transitions_of_poisoned_chunk(recorded: DispatchHarness, alert_xml: bytes) -> None:
    await recorded.submit(alert_xml)
    plan = await recorded.claim("planner")
    await planner_of(recorded).run(plan)
    async with recorded.db.begin() as c:
        await c.execute(text("update outbox set tries = 99 where kind = 'deliver'"))
    await works(recorded)
    assert ("leased", "poisoned") in await made(recorded, "outbox")
    assert ("planned", "failed") in await made(recorded)


async def test_transitions_of_digest_at_night(recorded: DispatchHarness, flood: Alert) -> None:
    recorded.clock.at = datetime(2026, 11, 24, 23, tzinfo=UTC)
    sent = recorded.clock.now()
    infos = tuple(
        replace(
            i,
            severity=Severity.MODERATE,
            urgency=Urgency.EXPECTED,
            onset=None,
            expires=sent + timedelta(hours=14),
        )
        for i in flood.infos
    )
    night = replace(flood, sent=sent, infos=infos)
    await recorded.submit(to_xml(night), now=False)
    await works(recorded)
    assert ("planned", "deferred") in await made(recorded)
    recorded.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    await recorded.maintenance().run_once()
    await works(recorded)
    assert {("deferred", "suppressed"), ("planned", "accepted")} <= await made(recorded)


async def test_transitions_of_copy_and_superseded_original(
    recorded: DispatchHarness, flood: Alert
) -> None:
    sent = recorded.clock.now().replace(microsecond=0)
    infos = tuple(replace(i, onset=None, expires=sent + timedelta(hours=8)) for i in flood.infos)
    first = replace(flood, sent=sent, infos=infos)
    await recorded.submit(to_xml(first), now=False)
    await works(recorded)
    recorded.clock.advance(600)
    again = replace(
        first,
        identifier="again",
        sent=sent + timedelta(seconds=600),
        msg_type=MsgType.UPDATE,
        references=(first.triple,),
    )
    await recorded.submit(to_xml(again), now=False)
    await works(recorded)
    assert ("planned", "suppressed") in await made(recorded)
    assert ("completed", "superseded") in await made(recorded, "alert")


def test_state_machine_judge_is_as_strict_as_the_table() -> None:
    for was, ends in MOVES.items():
        allowed = delivery.TRANSITIONS[was] if was else FIRST["delivery"]  # type: ignore[index]
        assert ends <= allowed, was

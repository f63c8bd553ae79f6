"""Workers that die, and workers that wake up too late."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest
from dispatch_harness import DispatchHarness
from planners import planner_of
from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import read, to_xml
from alerting.channels.base import AMBIGUOUS, Outcome, Outgoing
from alerting.dispatch.receipts import apply_receipts
from alerting.dispatch.status import status
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.store.alerts import alert_progress
from alerting.store.ledger import receipt_intake
from alerting.store.ledger.outcomes import OutcomeRow
from alerting.store.ledger.outcomes import record_outcomes as write
from alerting.store.ledger.receipt_intake import NewReceipt
from alerting.store.schema import CHUNK_SPAN, delivery
from alerting.store.schema import outbox as table
from alerting.store.work import claims, outbox, queues
from alerting.store.work.claims import Fenced
from alerting.store.work.outbox import Work


async def dead(harness: DispatchHarness) -> None:
    """Let every lease run out, as if its worker had been killed."""
    async with harness.db.begin() as c:
        past = func.now() - text("interval '1 second'")
        await c.execute(update(table).where(table.c.state == "leased").values(lease_until=past))
        await c.execute(update(table).values(not_before=past))


async def test_worker_death_leaves_only_its_window_in_doubt(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    stuck = asyncio.Event()
    answers = 0

    def hang_after_twenty(m: Outgoing) -> Outcome:
        nonlocal answers
        answers += 1
        if answers > 20:
            stuck.set()
            raise asyncio.CancelledError
        return Outcome(m.delivery_id, provider_ref="ok")

    for channel in harness.channels.values():
        channel.answer = hang_after_twenty
    # Cancelled in the middle of a window: nothing after the provider's call is written.
    with suppress(asyncio.CancelledError):
        await harness.worker().sweep()
    assert stuck.is_set()
    for channel in harness.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    harness.settings.in_doubt_wait_s = 0
    for _ in range(3):
        await dead(harness)
        await harness.worker().sweep()
    rows = await harness.rows(submitted.alert_id)
    assert {r["state"] for r in rows} == {"accepted"}
    flagged = sum(r["possible_duplicate"] for r in rows)
    assert 0 < flagged <= harness.settings.window * len(harness.channels)
    notified = [m.endpoint for m in harness.sent]
    doubled = len(notified) - len(set(notified))
    assert doubled <= flagged
    assert set(notified) == {e for _, e in harness.expected(alert_xml)}


async def test_planner_resumes_after_kill_without_gap_or_duplicate(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    plan = await harness.claim("first", lease_s=30)
    assert plan is not None

    async def die_after_two(batch: int) -> None:
        if batch > 2:
            raise asyncio.CancelledError

    with suppress(asyncio.CancelledError):
        await planner_of(harness, die_after_two).run(plan)
    await dead(harness)
    await harness.worker().sweep()
    rows = await harness.rows(submitted.alert_id)
    assert len(rows) == len(harness.expected(alert_xml))
    assert len({(r["citizen"], r["channel"]) for r in rows}) == len(rows)


async def test_worker_writes_nothing_after_its_lease_ended(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await harness.submit(alert_xml)
    late = await harness.claim("late", lease_s=30)
    assert late is not None
    await dead(harness)
    next_ = await harness.claim_one(late.id, "next")
    assert next_ is not None
    assert next_.fence == late.fence + 1
    for act in (
        lambda c: claims.hold(c, late, lease_s=30),
        lambda c: claims.finish(c, late),
        lambda c: claims.release(c, late, delay_s=0, cursor=0),
    ):
        with pytest.raises(Fenced):
            await attempt(harness, act)
    async with harness.db.begin() as c:
        await claims.hold(c, next_, lease_s=30)


async def attempt(
    harness: DispatchHarness, act: Callable[[AsyncConnection], Awaitable[object]]
) -> None:
    """What a worker does: prove the lease, then write, in one transaction."""
    async with harness.db.begin() as c:
        await act(c)
        await write(c, [OutcomeRow(1, DeliveryState.FAILED, "late")], now=harness.clock.now())


async def a_chunk(harness: DispatchHarness, alert_xml: bytes) -> tuple[Work, int]:
    """A claimed chunk and its first delivery."""
    await harness.submit(alert_xml)
    plan = await harness.claim("planner", lease_s=30)
    assert plan is not None
    await planner_of(harness).run(plan)
    chunk = await harness.claim("late", lease_s=30)
    assert chunk is not None
    return chunk, chunk.id * CHUNK_SPAN


async def standing(harness: DispatchHarness, chunk: Work, delivery_id: int) -> tuple[int, int, str]:
    """The chunk's window, and the state of one delivery."""
    async with harness.db.begin() as c:
        row = await c.execute(
            text(
                "select o.window_from, o.window_to, d.state from outbox o, delivery d"
                " where o.id = :chunk and d.id = :delivery"
            ),
            {"chunk": chunk.id, "delivery": delivery_id},
        )
        return tuple(row.one())  # type: ignore[return-value]


async def turn(harness: DispatchHarness, chunk: Work, delivery_id: int, ref: str = "SM1") -> None:
    sent = OutcomeRow(delivery_id, DeliveryState.ACCEPTED, "new", provider_ref=ref, tried=1)
    await claims.commit_batch_and_open_next(
        harness.db, chunk, [sent], lease_s=30, window=(3, 6), now=harness.clock.now()
    )


async def test_window_does_not_advance_after_lease_ended(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    chunk, first = await a_chunk(harness, alert_xml)
    await turn(harness, chunk, first)
    assert await standing(harness, chunk, first) == (3, 6, "accepted")
    await dead(harness)
    assert await harness.claim_one(chunk.id, "next")
    with pytest.raises(Fenced):
        await turn(harness, chunk, first + 1)
    assert await standing(harness, chunk, first + 1) == (3, 6, "planned")


async def test_window_does_not_advance_when_outcomes_are_not_stored(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    chunk, first = await a_chunk(harness, alert_xml)
    # PostgreSQL's text holds no NUL; the driver says so after the lease has been sent off.
    with pytest.raises(psycopg.DataError):
        await turn(harness, chunk, first, ref="SM\0")
    assert await standing(harness, chunk, first) == (0, 0, "planned")


async def test_claim_is_exclusive(harness: DispatchHarness, alert_xml: bytes) -> None:
    submitted = await harness.submit(alert_xml)
    assert submitted.created

    async def grab(name: str) -> bool:
        room = [(Lane.SEVERE, outbox.PLAN, math.inf)]
        return bool(await queues.claim(harness.db, room, owner=name, lease_s=30))

    assert sum(await asyncio.gather(*(grab(f"w{i}") for i in range(8)))) == 1


async def test_poisoned_chunk_is_set_aside(harness: DispatchHarness, alert_xml: bytes) -> None:
    submitted = await harness.submit(alert_xml)

    def poison(m: Outgoing) -> Outcome:
        raise RuntimeError("a bug of ours")

    harness.channels["email"].answer = poison
    harness.settings.in_doubt_wait_s = 0
    worker = harness.worker()
    for _ in range(100):
        await dead(harness)
        await worker.sweep()
        async with harness.db.begin() as c:
            if (await status(c, submitted.alert_id)).state == "completed":
                break
    ledger = await harness.ledger(submitted.alert_id)
    assert {s for c, s, _ in ledger if c == "sms"} == {"accepted"}
    assert {s for c, s, _ in ledger if c == "email"} == {"failed"}
    assert {r for c, _, r in ledger if c == "email"} <= {"in-doubt", "poisoned"}
    async with harness.db.begin() as c:
        assert (await status(c, submitted.alert_id)).state == "completed"


async def test_chunks_completing_together_do_not_block(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    async with harness.db.begin() as connection:
        ids = [await outbox.add_plan(connection, submitted.alert_id, Lane.ROUTINE) for _ in "ab"]
        claimed = [await queues.claim_one(connection, i, owner="test", lease_s=30) for i in ids]
    both_wrote = asyncio.Barrier(2)

    async def end(work: Work | None) -> None:
        assert work is not None
        async with harness.db.begin() as connection:
            await claims.hold(connection, work, lease_s=30)
            await claims.finish(connection, work)
            await both_wrote.wait()
            await alert_progress.complete_if_done(connection, submitted.alert_id)

    async with asyncio.timeout(60):
        await asyncio.gather(*(end(w) for w in claimed))


async def test_resend_is_flagged_after_worker_death_until_receipt(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    harness.settings.in_doubt_wait_s = 0

    def die(m: Outgoing) -> Outcome:
        raise asyncio.CancelledError

    harness.channels["sms"].answer = die
    for _ in range(2):
        with suppress(asyncio.CancelledError):
            await harness.worker().sweep()
        await dead(harness)
    notified = Counter(m.delivery_id for m in harness.channels["sms"].sent)
    doubled = {i for i, n in notified.items() if n > 1}
    assert doubled
    async with harness.db.begin() as c:
        reports = [NewReceipt("sms", i, "", "delivered", "") for i in notified]
        await receipt_intake.add(c, reports)
        await apply_receipts(c)
    rows = {r["id"]: r for r in await harness.rows(submitted.alert_id)}
    assert {rows[i]["state"] for i in doubled} == {"delivered"}
    assert all(rows[i]["possible_duplicate"] for i in doubled)


async def test_deferred_delivery_is_in_doubt_after_worker_death(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)

    def die(m: Outgoing) -> Outcome:
        raise asyncio.CancelledError

    harness.channels["sms"].answer = die
    work = await harness.claim("planner", lease_s=30)
    assert work is not None
    await planner_of(harness).run(work)
    async with harness.db.begin() as c:
        await c.execute(update(delivery).values(state="deferred", due_at=harness.clock.now()))
    with suppress(asyncio.CancelledError):
        await harness.worker().sweep()
    await dead(harness)
    harness.channels["sms"].answer = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    harness.settings.in_doubt_wait_s = 0
    await harness.worker().sweep()
    called = Counter(m.delivery_id for m in harness.channels["sms"].sent)
    doubled = {i for i, n in called.items() if n > 1}
    assert doubled
    rows = await harness.rows(submitted.alert_id)
    assert doubled <= {r["id"] for r in rows if r["possible_duplicate"]}


async def test_two_deliveries_in_doubt_are_both_resent(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    first = await harness.submit(alert_xml)
    alert = read(alert_xml).alerts[0]
    harness.clock.advance(60)
    second = await harness.submit(to_xml(replace(alert, identifier=f"{alert.identifier}-2")))
    for channel in harness.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, AMBIGUOUS)
    await harness.worker().sweep()
    async with harness.db.begin() as c:
        await c.execute(
            update(delivery)
            .where(delivery.c.state == "suppressed")
            .values(state="in_doubt", tries=1, attempted_at=harness.clock.now())
        )
        await c.execute(update(table).where(table.c.kind == "deliver").values(state="ready"))
    for channel in harness.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    harness.clock.advance(10)
    await harness.due_now()
    await harness.worker().sweep()
    notified = {
        r["citizen"]
        for alert_id in (first.alert_id, second.alert_id)
        for r in await harness.rows(alert_id)
        if r["state"] == "accepted"
    }
    assert len(notified) == len(harness.expected(alert_xml))

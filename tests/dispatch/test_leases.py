"""Workers that die, and workers that wake up too late."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from town import Town

from alerting.cap import read, to_xml
from alerting.channels.base import AMBIGUOUS, Outcome, Outgoing
from alerting.dispatch.receipts import apply_receipts
from alerting.dispatch.status import status
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.store import alerts, claims, outbox, queues, receipts
from alerting.store.claims import Fenced
from alerting.store.outbox import Work
from alerting.store.receipts import NewReceipt
from alerting.store.schema import CHUNK_SPAN, delivery
from alerting.store.schema import outbox as table
from alerting.store.settlements import Settlement
from alerting.store.settlements import settle as write


async def dead(town: Town) -> None:
    """Let every lease run out, as if its worker had been killed."""
    async with town.db.begin() as c:
        past = func.now() - text("interval '1 second'")
        await c.execute(update(table).where(table.c.state == "leased").values(lease_until=past))
        await c.execute(update(table).values(not_before=past))


async def test_a_worker_that_dies_in_its_window_leaves_only_that_in_doubt(
    town: Town, alert_xml: bytes
) -> None:
    submitted = await town.submit(alert_xml)
    stuck = asyncio.Event()
    answers = 0

    def hang_after_twenty(m: Outgoing) -> Outcome:
        nonlocal answers
        answers += 1
        if answers > 20:
            stuck.set()
            raise asyncio.CancelledError
        return Outcome(m.delivery_id, provider_ref="ok")

    for channel in town.channels.values():
        channel.answer = hang_after_twenty
    # Cancelled in the middle of a window: nothing after the provider's call is written.
    with suppress(asyncio.CancelledError):
        await town.worker().sweep()
    assert stuck.is_set()
    for channel in town.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    town.settings.in_doubt_wait_s = 0
    for _ in range(3):
        await dead(town)
        await town.worker().sweep()
    rows = await town.rows(submitted.alert_id)
    assert {r["state"] for r in rows} == {"accepted"}
    flagged = sum(r["possible_duplicate"] for r in rows)
    assert 0 < flagged <= town.settings.window * len(town.channels)
    told = [m.endpoint for m in town.sent]
    doubled = len(told) - len(set(told))
    assert doubled <= flagged
    assert set(told) == {e for _, e in town.expected(alert_xml)}


async def test_a_planner_that_dies_is_followed_without_a_gap_or_a_double(
    town: Town, alert_xml: bytes
) -> None:
    submitted = await town.submit(alert_xml)
    plan = await town.claim("first", lease_s=30)
    assert plan is not None
    planner = town.worker()._planner
    batches = 0
    original = planner._write

    async def die_after_two(*args: object, **options: object) -> bool:
        nonlocal batches
        batches += 1
        if batches > 2:
            raise asyncio.CancelledError
        return await original(*args, **options)  # type: ignore[arg-type]

    planner._write = die_after_two  # type: ignore[method-assign]
    with suppress(asyncio.CancelledError):
        await planner.run(plan)
    await dead(town)
    await town.worker().sweep()
    rows = await town.rows(submitted.alert_id)
    assert len(rows) == len(town.expected(alert_xml))
    assert len({(r["citizen"], r["channel"]) for r in rows}) == len(rows)


async def test_a_worker_that_wakes_after_its_lease_writes_nothing(
    town: Town, alert_xml: bytes
) -> None:
    await town.submit(alert_xml)
    late = await town.claim("late", lease_s=30)
    assert late is not None
    await dead(town)
    next_ = await town.claim_one(late.id, "next")
    assert next_ is not None
    assert next_.fence == late.fence + 1
    for act in (
        lambda c: claims.hold(c, late, lease_s=30),
        lambda c: claims.finish(c, late),
        lambda c: claims.release(c, late, delay_s=0, cursor=0),
    ):
        with pytest.raises(Fenced):
            await attempt(town, act)
    async with town.db.begin() as c:
        await claims.hold(c, next_, lease_s=30)


async def attempt(town: Town, act: Callable[[AsyncConnection], Awaitable[object]]) -> None:
    """What a worker does: prove the lease, then write, in one transaction."""
    async with town.db.begin() as c:
        await act(c)
        await write(c, [Settlement(1, DeliveryState.FAILED, "late")], now=town.clock.now())


async def a_chunk(town: Town, alert_xml: bytes) -> tuple[Work, int]:
    """A claimed chunk and its first delivery."""
    await town.submit(alert_xml)
    plan = await town.claim("planner", lease_s=30)
    assert plan is not None
    await town.worker()._planner.run(plan)
    chunk = await town.claim("late", lease_s=30)
    assert chunk is not None
    return chunk, chunk.id * CHUNK_SPAN


async def standing(town: Town, chunk: Work, delivery_id: int) -> tuple[int, int, str]:
    """The chunk's window, and the state of one delivery."""
    async with town.db.begin() as c:
        row = await c.execute(
            text(
                "select o.window_from, o.window_to, d.state from outbox o, delivery d"
                " where o.id = :chunk and d.id = :delivery"
            ),
            {"chunk": chunk.id, "delivery": delivery_id},
        )
        return tuple(row.one())  # type: ignore[return-value]


async def turn(town: Town, chunk: Work, delivery_id: int, ref: str = "SM1") -> None:
    sent = Settlement(delivery_id, DeliveryState.ACCEPTED, "new", provider_ref=ref, tried=1)
    await claims.turn_window(
        town.db, chunk, [sent], lease_s=30, window=(3, 6), now=town.clock.now()
    )


async def test_a_window_turned_after_the_lease_writes_nothing(town: Town, alert_xml: bytes) -> None:
    chunk, first = await a_chunk(town, alert_xml)
    await turn(town, chunk, first)
    assert await standing(town, chunk, first) == (3, 6, "accepted")
    await dead(town)
    assert await town.claim_one(chunk.id, "next")
    with pytest.raises(Fenced):
        await turn(town, chunk, first + 1)
    assert await standing(town, chunk, first + 1) == (3, 6, "planned")


async def test_a_window_whose_outcomes_cannot_be_written_is_not_turned(
    town: Town, alert_xml: bytes
) -> None:
    chunk, first = await a_chunk(town, alert_xml)
    # PostgreSQL's text holds no NUL; the driver says so after the lease has been sent off.
    with pytest.raises(psycopg.DataError):
        await turn(town, chunk, first, ref="SM\0")
    assert await standing(town, chunk, first) == (0, 0, "planned")


async def test_two_never_hold_the_same_work(town: Town, alert_xml: bytes) -> None:
    submitted = await town.submit(alert_xml)
    assert submitted.created

    async def grab(name: str) -> bool:
        room = [(Lane.SEVERE, outbox.PLAN, False)]
        return bool(await queues.claim(town.db, room, owner=name, lease_s=30))

    assert sum(await asyncio.gather(*(grab(f"w{i}") for i in range(8)))) == 1


async def test_work_that_ends_every_worker_is_set_aside_and_the_rest_goes_on(
    town: Town, alert_xml: bytes
) -> None:
    submitted = await town.submit(alert_xml)

    def poison(m: Outgoing) -> Outcome:
        raise RuntimeError("a bug of ours")

    town.channels["email"].answer = poison
    town.settings.in_doubt_wait_s = 0
    worker = town.worker()
    for _ in range(100):
        await dead(town)
        await worker.sweep()
        async with town.db.begin() as c:
            if (await status(c, submitted.alert_id)).state == "completed":
                break
    ledger = await town.ledger(submitted.alert_id)
    assert {s for c, s, _ in ledger if c == "sms"} == {"accepted"}
    assert {s for c, s, _ in ledger if c == "email"} == {"failed"}
    assert {r for c, _, r in ledger if c == "email"} <= {"in-doubt", "poisoned"}
    async with town.db.begin() as c:
        assert (await status(c, submitted.alert_id)).state == "completed"


async def test_chunks_that_end_together_do_not_wait_for_each_other(
    town: Town, alert_xml: bytes
) -> None:
    submitted = await town.submit(alert_xml)
    async with town.db.begin() as connection:
        ids = [await outbox.add_plan(connection, submitted.alert_id, Lane.ROUTINE) for _ in "ab"]
        claimed = [await queues.claim_one(connection, i, owner="test", lease_s=30) for i in ids]
    both_wrote = asyncio.Barrier(2)

    async def end(work: Work | None) -> None:
        assert work is not None
        async with town.db.begin() as connection:
            await claims.hold(connection, work, lease_s=30)
            await claims.finish(connection, work)
            await both_wrote.wait()
            await alerts.complete_if_done(connection, submitted.alert_id)

    async with asyncio.timeout(60):
        await asyncio.gather(*(end(w) for w in claimed))


async def test_a_second_sending_is_flagged_though_its_worker_dies_and_a_receipt_ends_the_doubt(
    town: Town, alert_xml: bytes
) -> None:
    submitted = await town.submit(alert_xml)
    town.settings.in_doubt_wait_s = 0

    def die(m: Outgoing) -> Outcome:
        raise asyncio.CancelledError

    town.channels["sms"].answer = die
    for _ in range(2):
        with suppress(asyncio.CancelledError):
            await town.worker().sweep()
        await dead(town)
    told = Counter(m.delivery_id for m in town.channels["sms"].sent)
    doubled = {i for i, n in told.items() if n > 1}
    assert doubled
    async with town.db.begin() as c:
        reports = [NewReceipt("sms", i, "", "delivered", "") for i in told]
        await receipts.add(c, reports)
        await apply_receipts(c)
    rows = {r["id"]: r for r in await town.rows(submitted.alert_id)}
    assert {rows[i]["state"] for i in doubled} == {"delivered"}
    assert all(rows[i]["possible_duplicate"] for i in doubled)


async def test_what_was_deferred_is_in_doubt_like_the_rest_when_its_worker_dies(
    town: Town, alert_xml: bytes
) -> None:
    submitted = await town.submit(alert_xml)

    def die(m: Outgoing) -> Outcome:
        raise asyncio.CancelledError

    town.channels["sms"].answer = die
    plan = town.worker()
    work = await town.claim("planner", lease_s=30)
    assert work is not None
    await plan._planner.run(work)
    async with town.db.begin() as c:
        await c.execute(update(delivery).values(state="deferred", due_at=town.clock.now()))
    with suppress(asyncio.CancelledError):
        await town.worker().sweep()
    await dead(town)
    town.channels["sms"].answer = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    town.settings.in_doubt_wait_s = 0
    await town.worker().sweep()
    called = Counter(m.delivery_id for m in town.channels["sms"].sent)
    doubled = {i for i, n in called.items() if n > 1}
    assert doubled
    rows = await town.rows(submitted.alert_id)
    assert doubled <= {r["id"] for r in rows if r["possible_duplicate"]}


async def test_two_messages_in_doubt_do_not_keep_each_other_from_being_sent_again(
    town: Town, alert_xml: bytes
) -> None:
    first = await town.submit(alert_xml)
    alert = read(alert_xml).alerts[0]
    town.clock.advance(60)
    second = await town.submit(to_xml(replace(alert, identifier=f"{alert.identifier}-2")))
    for channel in town.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, AMBIGUOUS)
    await town.worker().sweep()
    async with town.db.begin() as c:
        await c.execute(
            update(delivery)
            .where(delivery.c.state == "suppressed")
            .values(state="in_doubt", tries=1, attempted_at=town.clock.now())
        )
        await c.execute(update(table).where(table.c.kind == "deliver").values(state="ready"))
    for channel in town.channels.values():
        channel.answer = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    town.clock.advance(10)
    await town.due_now()
    await town.worker().sweep()
    told = {
        r["citizen"]
        for alert_id in (first.alert_id, second.alert_id)
        for r in await town.rows(alert_id)
        if r["state"] == "accepted"
    }
    assert len(told) == len(town.expected(alert_xml))

"""Every statement that moves a delivery, an alert or a row of work keeps to the tables of `domain`:
it is tried on each state, whether it may move it or not."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain import alert_state, delivery, work_state
from alerting.domain.alert_state import AlertState
from alerting.domain.delivery import UNSETTLED, DeliveryState
from alerting.domain.lane import Lane
from alerting.domain.transitions import sources
from alerting.domain.work_state import WorkState
from alerting.store import states
from alerting.store.alerts import alert_progress, threads
from alerting.store.db import Database, raw
from alerting.store.ledger import deliveries, digests, outcomes, planning, receipt_moves
from alerting.store.ledger.digests import Item
from alerting.store.ledger.outcomes import OutcomeRow
from alerting.store.ledger.planning import NewDelivery
from alerting.store.ledger.receipt_moves import Move, Receipt
from alerting.store.schema import CHUNK_SPAN, alert, outbox
from alerting.store.schema import delivery as delivery_table
from alerting.store.work import claims, halt, queues, restored
from alerting.store.work.outbox import Work

D, A, W = DeliveryState, AlertState, WorkState
NOW = datetime.now(UTC)
CHUNK, DIGEST, FENCE = 7, 8, 3
#: The delivery that is moved, and the one of the digest that carries it.
ID, CARRIER = CHUNK * CHUNK_SPAN, DIGEST * CHUNK_SPAN

Act = Callable[[AsyncConnection, Any], Awaitable[object]]


@pytest.fixture
async def alert_id(db: Database) -> UUID:
    """An alert with one delivery, and a digest that may carry it."""
    found = uuid4()
    async with db.begin() as c:
        await c.execute(
            text(
                """insert into alert (id, sender, identifier, sent_at, status, msg_type, scope,
                     lane, thread_id, event_id, document, source, source_hash, state, expires_at,
                     submitted_by)
                   values (:id, 's', 'i', now(), 'Actual', 'Alert', 'Public', 'routine', :id, :id,
                     '{}', '', '', 'delivering', now() + interval '1 day', 'test')"""
            ),
            {"id": found},
        )
        for chunk_id in (CHUNK, DIGEST):
            await c.execute(
                text(
                    """insert into outbox (id, alert_id, kind, lane, channel, size, fence, digest)
                       overriding system value
                       values (:id, :alert, 'deliver', 'routine', 'sms', 1, :fence, :digest)"""
                ),
                {"id": chunk_id, "alert": found, "fence": FENCE, "digest": chunk_id == DIGEST},
            )
            await planning.add(c, found, [(chunk_id, "sms", [NewDelivery(1, 1, 0, 0)])])
    return found


async def put(c: AsyncConnection, **values: object) -> None:
    """Set the delivery's row, as no code of ours may."""
    await c.execute(update(delivery_table).where(delivery_table.c.id == ID).values(**values))


async def made(
    db: Database, act: Act, old: Iterable[StrEnum], new: Iterable[StrEnum]
) -> set[tuple[StrEnum, StrEnum]]:
    """The moves of the delivery that `act` makes, when told to make each of these; nothing stays
    of it."""
    found = set()
    for was in old:
        for wanted in new:
            async with db.begin() as c:
                await put(c, state=was)
                await act(c, wanted)
                query = select(delivery_table.c.state).where(delivery_table.c.id == ID)
                state = D(await c.scalar(query))
                await c.rollback()
            if state is not was:
                assert state is wanted, f"told {wanted}, {was} became {state}"
                found.add((was, state))
    return found


def in_table(moves: set[tuple[Any, Any]], table: dict[Any, frozenset[Any]]) -> bool:
    return all(new in table[old] for old, new in moves)


ALL = {(old, new) for old, ends in delivery.TRANSITIONS.items() for new in ends}


async def _settle(c: AsyncConnection, new: D) -> None:
    await outcomes.record_outcomes(c, [OutcomeRow(ID, new, "x")], now=NOW)


async def _settle_held(c: AsyncConnection, new: D) -> None:
    """As `claims.commit_batch_and_open_next` does it."""
    await c.execute(update(outbox).where(outbox.c.id == CHUNK).values(state=W.LEASED))
    query, values = outcomes.outcome_statements(
        [OutcomeRow(ID, new, "x")], now=NOW, work_id=CHUNK, fence=FENCE
    )
    await (await raw(c)).execute(query, values)


async def _close(c: AsyncConnection, new: D) -> None:
    await deliveries.close_chunk(c, CHUNK, 1, new, "x", now=NOW)


@pytest.mark.parametrize("act", [_settle, _settle_held, _close])
async def test_worker_moves_only_unsettled_deliveries(
    db: Database, alert_id: UUID, act: Act
) -> None:
    found = await made(db, act, D, D)
    assert found == {(old, new) for old, new in ALL if old in UNSETTLED}


async def test_receipt_moves_only_to_reported_states(db: Database, alert_id: UUID) -> None:
    async def act(c: AsyncConnection, new: D) -> None:
        receipt = Receipt(1, "sms", ID, "", "", "", NOW)
        await receipt_moves.move(c, [Move(receipt, new, "x")])

    found = await made(db, act, D, D)
    assert found == {(old, new) for old, new in ALL if new in receipt_moves.REPORTED}


async def test_worker_death_moves_planned_to_in_doubt(db: Database, alert_id: UUID) -> None:
    async def act(c: AsyncConnection, new: D) -> None:
        await put(c, possible_duplicate=True)
        await deliveries.mark_in_doubt(c, CHUNK, (0, 1), now=NOW)

    assert await made(db, act, D, [D.IN_DOUBT]) == {(D.PLANNED, D.IN_DOUBT)}


async def test_requeue_moves_only_deferred(db: Database, alert_id: UUID) -> None:
    async def act(c: AsyncConnection, new: D) -> None:
        await deliveries.take_up(c, [ID])

    assert await made(db, act, D, [D.PLANNED]) == {(D.DEFERRED, D.PLANNED)}


@pytest.mark.parametrize("work", [W.READY, W.DONE])
async def test_cancel_revokes_only_unsent(db: Database, alert_id: UUID, work: W) -> None:
    async def act(c: AsyncConnection, new: D) -> None:
        await c.execute(update(alert).values(state=A.CANCELLED))
        await c.execute(update(outbox).where(outbox.c.id == CHUNK).values(state=work))
        await halt.call_back(c, {A.CANCELLED: "cancelled"}, chunks=9, now=NOW)

    found = await made(db, act, D, [D.REVOKED])
    assert found == {(D.PLANNED, D.REVOKED), (D.DEFERRED, D.REVOKED)}


async def test_cancel_revokes_only_deferred_digest_items(db: Database, alert_id: UUID) -> None:
    async def act(c: AsyncConnection, new: D) -> None:
        await digests.add(c, [Item(ID, 1, alert_id, alert_id, NOW)])
        await halt.call_back_deferred(c, [alert_id], "cancelled", limit=9, now=NOW)

    assert await made(db, act, D, [D.REVOKED]) == {(D.DEFERRED, D.REVOKED)}


@pytest.mark.parametrize("carrier", [s for s in D if s not in UNSETTLED])
async def test_digest_ends_only_deferred(db: Database, alert_id: UUID, carrier: D) -> None:
    async def act(c: AsyncConnection, new: D) -> None:
        await digests.add(c, [Item(ID, 1, alert_id, alert_id, NOW)])
        await digests.assign(c, {ID: CARRIER})
        query = update(delivery_table).where(delivery_table.c.id == CARRIER)
        await c.execute(query.values(state=carrier))
        await c.execute(update(outbox).where(outbox.c.id == DIGEST).values(state=W.DONE))
        await c.execute(text("update outbox set done_at = now() where digest"))
        await digests.record_carried_outcomes(c, now=NOW, chunks=9)

    ends = {D.FAILED: D.FAILED, D.REVOKED: None, D.EXPIRED: None}.get(carrier, D.SUPPRESSED)
    found = await made(db, act, D, [ends or D.SUPPRESSED])
    assert found == ({(D.DEFERRED, ends)} if ends else set())


async def alerts_moved(
    db: Database, alert_id: UUID, act: Callable[[AsyncConnection, AlertState], Awaitable[object]]
) -> set[tuple[AlertState, AlertState]]:
    found = set()
    for was in A:
        for wanted in A:
            async with db.begin() as c:
                await c.execute(update(alert).values(state=was))
                await act(c, wanted)
                state = A(await c.scalar(select(alert.c.state)))
                await c.rollback()
            if state is not was:
                found.add((was, state))
    return found


async def test_alert_moves_follow_the_table(db: Database, alert_id: UUID) -> None:
    every = {(old, new) for old, ends in alert_state.TRANSITIONS.items() for new in ends}
    for act in (
        lambda c, new: alert_progress.set_state(c, alert_id, new),
        lambda c, new: threads.end(c, [alert_id], new, "x"),
    ):
        assert await alerts_moved(db, alert_id, act) == every


async def test_alert_expires_and_completes_only_from_allowed_states(
    db: Database, alert_id: UUID
) -> None:
    async def run_out(c: AsyncConnection, new: AlertState) -> None:
        await alert_progress.expire(c, now=NOW + timedelta(days=2), limit=9)

    async def complete(c: AsyncConnection, new: AlertState) -> None:
        await c.execute(text("update outbox set state = 'done', done_at = now()"))
        await alert_progress.complete_if_done(c, alert_id)

    table = alert_state.TRANSITIONS
    found = await alerts_moved(db, alert_id, run_out)
    assert found == {(old, A.EXPIRED) for old in sources(table, A.EXPIRED)}
    found = await alerts_moved(db, alert_id, complete)
    assert found == {(old, A.COMPLETED) for old in sources(table, A.COMPLETED)}


def _work(alert_id: UUID) -> Work:
    return Work(CHUNK, alert_id, "deliver", Lane.ROUTINE, "sms", False, 1, 0, 0, 0, FENCE, 1)


WORKERS: dict[str, Callable[[AsyncConnection, Work], Awaitable[object]]] = {
    "claim": lambda c, w: queues.claim_one(c, CHUNK, owner="x", lease_s=9),
    "finish": lambda c, w: claims.finish(c, w),
    "release": lambda c, w: claims.release(c, w, delay_s=0, cursor=0),
    "abandon": lambda c, w: claims.abandon(c, w, delay_s=0),
    "poison": lambda c, w: claims.poison(c, w),
    "stop": lambda c, w: halt.stop(c, [w.alert_id]),
    "call back": lambda c, w: halt.call_back(c, {A.CANCELLED: "x"}, chunks=9, now=NOW),
    "free": lambda c, w: restored.free(c),
}


async def test_work_moves_follow_the_table(db: Database, alert_id: UUID) -> None:
    found = set()
    for act in WORKERS.values():
        for was in W:
            async with db.begin() as c:
                await c.execute(update(alert).values(state=A.CANCELLED))
                await c.execute(update(outbox).values(state=was, window_from=0, window_to=0))
                with suppress(claims.Fenced):
                    await act(c, _work(alert_id))
                query = select(outbox.c.state).where(outbox.c.id == CHUNK)
                state = W(await c.scalar(query))
                await c.rollback()
            if state is not was:
                found.add((was, state))
    table = work_state.TRANSITIONS
    assert found == {(old, new) for old, ends in table.items() for new in ends}


async def test_work_is_freed_and_claimed_only_by_the_table(db: Database, alert_id: UUID) -> None:
    found = set()
    for act in (
        lambda: queues.recover(db, ["gone"]),
        lambda: queues.claim(db, [(Lane.ROUTINE, "sms", math.inf)], owner="x", lease_s=9),
    ):
        for was in W:
            async with db.begin() as c:
                values = {"state": was, "owner": "gone", "rank": 1.0}
                await c.execute(update(outbox).values(**values))
            await act()
            async with db.begin() as c:
                state = W(await c.scalar(select(outbox.c.state).where(outbox.c.id == CHUNK)))
            if state is not was:
                found.add((was, state))
    assert found == {(W.LEASED, W.READY), (W.READY, W.LEASED)}


def test_statement_against_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="accepted never becomes revoked"):
        states.delivery_from(D.REVOKED, D.PLANNED, D.ACCEPTED)
    with pytest.raises(ValueError, match="nothing never becomes recorded"):
        states.alert_from(A.RECORDED)
    with pytest.raises(ValueError, match="done never becomes ready"):
        states.work_from(W.READY, W.DONE)


def test_every_moving_statement_is_covered() -> None:
    """Whoever writes another one adds it there."""
    store = Path(states.__file__).parent
    moving = re.compile(r"update delivery\b[^;]*?\bset\b(?:(?!where|from).)*?\bstate = ", re.S)
    modules = [p for p in store.rglob("*.py") if "migrations" not in p.parts]
    found = {p.stem: len(moving.findall(p.read_text(encoding="utf-8"))) for p in modules}
    assert {name: count for name, count in found.items() if count} == {
        "deliveries": 3,
        "digests": 1,
        "halt": 2,
        "outcomes": 1,
        "receipt_moves": 1,
    }

"""Events: threads about one danger, and open questions whether threads belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.errors import Conflict, NotFound
from alerting.store import audit_log
from alerting.store.alerts.stored_alerts import StoredAlert, select_alerts
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN, alert, event_question, outbox
from alerting.store.states import D, W

#: `order by` and `limit` keep PostgreSQL from going through the whole ledger.
_JUDGE_AGAIN = f"""
    update delivery set due_at = now()
    where state = '{D.DEFERRED}' and reason = 'goes-on' and id in (
      select d.id from alert a join outbox o on o.alert_id = a.id and o.kind = 'deliver'
      cross join lateral (
        select id from delivery where id >= o.id * %(span)s and id < o.id * %(span)s + o.size
        order by id limit %(span)s) as d
      where a.event_id = %(event)s and a.ends)"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """Whether an alert belongs to an event. `answer` is empty while open, then `merged` or
    `apart`."""

    id: int
    alert_id: UUID
    identifier: str
    sender: str
    event_id: UUID
    score: float
    sentence: str
    created_at: datetime
    answer: str
    answered_by: str


async def candidates(
    connection: AsyncConnection,
    new: Alert,
    blocks: Sequence[str],
    *,
    since: datetime,
    limit: int,
) -> list[StoredAlert]:
    """The newest alerts of a new one's status and scope that share a block with it."""
    if not blocks:
        return []
    return await select_alerts(
        connection,
        alert.c.blocks.bool_op("&&")(list(blocks)),
        alert.c.status == new.status.value,
        alert.c.scope == new.scope.value,
        alert.c.sent_at >= since,
        alert.c.state.not_in([AlertState.RECORDED, AlertState.CANCELLED]),
        limit=limit,
    )


async def recent(
    connection: AsyncConnection, *, status: str, limit: int
) -> list[tuple[UUID, UUID]]:
    """The newest alerts, each with its event."""
    query = (
        select(alert.c.id, alert.c.event_id)
        .where(alert.c.status == status)
        .order_by(alert.c.submitted_at.desc())
        .limit(limit)
    )
    return [(row.id, row.event_id) for row in await connection.execute(query)]


async def merge(connection: AsyncConnection, event_id: UUID, *, into: UUID) -> int:
    """Make every alert of one event part of another; returns how many alerts moved."""
    query = update(alert).where(alert.c.event_id == event_id).values(event_id=into)
    return (await connection.execute(query)).rowcount


async def ask(
    connection: AsyncConnection, alert_id: UUID, event_id: UUID, *, score: float, sentence: str
) -> None:
    """Put an unsure match to the coordinators."""
    await connection.execute(
        insert(event_question).values(
            alert_id=alert_id, event_id=event_id, score=score, sentence=sentence
        )
    )


async def open_questions(connection: AsyncConnection, *, limit: int) -> list[AskedQuestion]:
    """Unanswered questions, the newest first."""
    columns = [event_question.c[name] for name in AskedQuestion.__slots__ if name not in _ALERTS]
    query = (
        select(*columns, alert.c.identifier, alert.c.sender)
        .join(alert, alert.c.id == event_question.c.alert_id)
        .where(event_question.c.answer == "")
        .order_by(event_question.c.id.desc())
        .limit(limit)
    )
    return [AskedQuestion(**row._mapping) for row in await connection.execute(query)]


_ALERTS = {"identifier", "sender"}


async def join(connection: AsyncConnection, alert_id: UUID, other_id: UUID, *, by: str) -> UUID:
    """Declare that two alerts are about one event; returns the event.

    Raises NotFound, and Conflict for a real alert and an exercise, or for two scopes.
    """
    (mine, *one_class), (other, *other_class) = (
        await _event(connection, alert_id),
        await _event(connection, other_id),
    )
    if one_class != other_class:
        raise Conflict(
            f"One of these alerts has status {one_class[0]} and scope {one_class[1]}, the other "
            f"status {other_class[0]} and scope {other_class[1]}: they are never one event."
        )
    if mine != other:
        await merge(connection, mine, into=other)
        await _judge_ends_again(connection, other)
    await _answer(connection, mine, other, "merged", by)
    await audit_log.record(connection, by, "event.merge", str(other), {"merged": str(mine)})
    return other


async def part(connection: AsyncConnection, alert_id: UUID, *, by: str) -> UUID:
    """Make an alert's thread an event of its own; returns the event.

    Raises NotFound, and Conflict where the event has no other thread.
    """
    row = (
        await connection.execute(
            select(alert.c.thread_id, alert.c.event_id).where(alert.c.id == alert_id)
        )
    ).first()
    if row is None:
        raise NotFound(f"There is no alert {alert_id}.")
    others = select(func.count()).where(
        alert.c.event_id == row.event_id, alert.c.thread_id != row.thread_id
    )
    if not await connection.scalar(others):
        raise Conflict("This alert's thread is an event of its own already.")
    # The thread that gave the event its id keeps it; then the others are given the new one.
    mine = row.thread_id == row.event_id
    which = alert.c.thread_id != row.thread_id if mine else alert.c.thread_id == row.thread_id
    new = await connection.scalar(
        select(alert.c.thread_id)
        .where(alert.c.event_id == row.event_id, which)
        .order_by(alert.c.sent_at)
        .limit(1)
    )
    await connection.execute(
        update(alert).where(alert.c.event_id == row.event_id, which).values(event_id=new)
    )
    event_id: UUID = row.event_id if mine or new is None else new
    await _judge_ends_again(connection, row.event_id)
    if new is not None:
        await _judge_ends_again(connection, new)
    await _answer(connection, event_id, row.event_id, "apart", by)
    await audit_log.record(
        connection, by, "event.split", str(event_id), {"from": str(row.event_id)}
    )
    return event_id


async def _event(connection: AsyncConnection, alert_id: UUID) -> tuple[UUID, str, str]:
    """An alert's event, status and scope."""
    query = select(alert.c.event_id, alert.c.status, alert.c.scope).where(alert.c.id == alert_id)
    row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return row.event_id, row.status, row.scope


async def _judge_ends_again(connection: AsyncConnection, event_id: UUID) -> None:
    """Evaluate waiting ends of this event at once."""
    waiting = select(alert.c.id).where(alert.c.event_id == event_id, alert.c.ends).scalar_subquery()
    driver = await raw(connection)
    await driver.execute(_JUDGE_AGAIN, {"event": event_id, "span": CHUNK_SPAN})
    await connection.execute(
        update(outbox)
        .where(outbox.c.alert_id.in_(waiting), outbox.c.state == W.READY)
        .values(not_before=func.now())
    )


async def _answer(
    connection: AsyncConnection, event_id: UUID, other: UUID, answer: str, by: str
) -> None:
    """Close the open questions about these events."""
    of_them = select(alert.c.id).where(alert.c.event_id.in_([event_id, other]))
    await connection.execute(
        update(event_question)
        .where(
            event_question.c.answer == "",
            event_question.c.alert_id.in_(of_them),
            event_question.c.event_id.in_([event_id, other]),
        )
        .values(answer=answer, answered_by=by, answered_at=func.now())
    )

"""Escalations: which chunks are checked for citizens who were not notified, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import Lane
from alerting.store.db import raw
from alerting.store.ledger.unreached import Wait
from alerting.store.schema import CHUNK_SPAN, outbox
from alerting.store.states import D

#: The time of a check that was asked for; it comes before all planned ones.
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)

_REPORTS = f"""
    select count(*) filter (
             where d.state = '{D.ACCEPTED}' and d.accepted_at <= %(before)s) as silent,
           count(*) filter (where d.state = '{D.DELIVERED}') as arrived,
           min(r.late_at) filter (where r.late_at > %(now)s) as next_at
    from delivery d
    cross join lateral (select %(wait)s + case
      when d.state = '{D.ACCEPTED}' and d.channel = any(%(reporting)s) then d.accepted_at
      when d.state in ('{D.PLANNED}','{D.IN_DOUBT}')
           or d.state = '{D.DEFERRED}' and d.due_at is not null
        then greatest(d.planned_at, d.due_at) end as late_at) r
    where d.id >= %(first)s and d.id < %(end)s"""  # noqa: S608

#: Deliveries that a digest carried; they count as accepted with the digest.
_CARRIED = f"""
    select c.id, d.id from delivery c join outbox o on o.id = c.id / {CHUNK_SPAN} and o.digest
    join delivery d on d.citizen_id = c.citizen_id and d.address_id = c.address_id
    where c.id = any(%s) and d.state = '{D.SUPPRESSED}' and d.reason = 'digested'
      and d.settled_at >= c.accepted_at - interval '1 minute'"""  # noqa: S608 - a number of ours

_LOOK_NOW = """
    with wanted as (
      select id from outbox where id = any(%(chunks)s) and not digest),
    free as (
      select id from outbox where id in (select id from wanted) for no key update skip locked),
    noted as (
      update outbox set check_at = %(at_once)s where id in (select id from free))
    select id from wanted except select id from free"""


@dataclass(frozen=True, slots=True)
class Due:
    """A chunk, finished or still open, whose deliveries must be checked."""

    id: int
    alert_id: UUID
    lane: Lane
    channel: str
    size: int


@dataclass(frozen=True, slots=True)
class Reports:
    """The receipts of a chunk: how many deliveries were accepted before the wait without a
    report, how many were reported, and when the wait of the next open or accepted one ends."""

    silent: int
    arrived: int
    next_at: datetime | None


async def next_due(connection: AsyncConnection, *, now: datetime) -> Due | None:
    """The first chunk whose check is due, locked for this transaction.

    A chunk that another transaction holds is left for later.
    """
    query = (
        select(outbox.c.id, outbox.c.alert_id, outbox.c.lane, outbox.c.channel, outbox.c.size)
        .where(outbox.c.check_at <= now)
        .order_by(outbox.c.check_at)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    return Due(row.id, row.alert_id, Lane(row.lane), row.channel, row.size)


async def is_due(
    connection: AsyncConnection, alert_id: UUID, *, now: datetime | None = None
) -> bool:
    """Whether chunks of this alert should have been looked at by `now`; None for PostgreSQL's."""
    by = func.now() if now is None else now
    query = select(outbox.c.id).where(outbox.c.check_at <= by, outbox.c.alert_id == alert_id)
    return (await connection.execute(query.limit(1))).first() is not None


async def look_again(connection: AsyncConnection, chunk_id: int, at: datetime | None) -> None:
    """Set when a chunk is checked next; None for never."""
    await connection.execute(update(outbox).where(outbox.c.id == chunk_id).values(check_at=at))


async def look_now(connection: AsyncConnection, delivery_ids: Sequence[int]) -> list[int]:
    """Have the chunks of these deliveries checked in the next round, open ones too; for digests
    those of the items they carried.

    Returns the deliveries whose chunks are locked by a writer; the caller asks again for these.
    """
    if not delivery_ids:
        return []
    driver = await raw(connection)
    asked = [(i, i) for i in delivery_ids]
    asked += await (await driver.execute(_CARRIED, (list(delivery_ids),))).fetchall()
    chunks = sorted({i // CHUNK_SPAN for _, i in asked})
    cursor = await driver.execute(_LOOK_NOW, {"chunks": chunks, "at_once": AT_ONCE})
    busy = {row[0] for row in await cursor.fetchall()}
    return sorted({by for by, i in asked if i // CHUNK_SPAN in busy})


async def reports(connection: AsyncConnection, chunk: Due, wait: Wait) -> Reports:
    """The receipts of a chunk so far."""
    driver = await raw(connection)
    first = chunk.id * CHUNK_SPAN
    async with driver.cursor(row_factory=class_row(Reports)) as cursor:
        await cursor.execute(
            _REPORTS,
            {
                "first": first,
                "end": first + chunk.size,
                "before": wait.before,
                "now": wait.now,
                "wait": timedelta(seconds=wait.wait_s),
                "reporting": list(wait.reporting),
            },
        )
        return await cursor.fetchone() or Reports(0, 0, None)

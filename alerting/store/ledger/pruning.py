"""Deleting old deliveries: whole events, their newest chunks first.

An event is marked as pruned in one transaction and its rows are deleted in small ones after it, so
that an interrupted prune is found by its mark and continued. Newest first, because a delivery that
was withheld as a copy refers to an earlier one, which must outlive it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import ENDED
from alerting.domain.delivery import UNSETTLED
from alerting.domain.lane import HIGH_PRIORITY_LANES
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN
from alerting.store.states import A, W

#: Held for one transaction, so that of many prunes one works at a time.
LOCK = 0x7072756E

_FINAL = [s.value for s in ENDED | {A.COMPLETED}]
_OPEN = [s.value for s in UNSETTLED]

#: Alerts without any work left: ended, finished, and expired before the cutoff.
_OVER = f"""(a.state = any(%(final)s) and (a.finished_at is not null or a.state = '{A.RECORDED}')
    and greatest(a.submitted_at, a.expires_at, a.finished_at) < %(cutoff)s)"""

#: Open work: a chunk to send, to call back, or to check once more.
_WORK = f"""
    select from alert v join outbox o on o.alert_id = v.id
    where v.event_id = a.event_id
      and (o.state in ('{W.READY}','{W.LEASED}') or o.state = '{W.DONE}'
           and (o.done_at is null or o.check_at is not null))"""

_REPORTED = f"""
    select from receipt r join outbox o on o.id = r.delivery_id / {CHUNK_SPAN}
    join alert v on v.id = o.alert_id
    where r.applied_at is null and v.event_id = a.event_id"""

_EVENTS = f"""
    select a.event_id, (count(*) filter (where a.pruned_at is null))::int as alerts,
           (array_agg(a.identifier order by a.sent_at))[1] as identifier,
           min(a.submitted_at) as began_at,
           (select coalesce(sum(o.size), 0)::int8 from alert v join outbox o on o.alert_id = v.id
            where v.event_id = a.event_id and o.kind = 'deliver') as deliveries,
           exists ({_WORK}) or exists ({_REPORTED}) as busy
    from alert a group by a.event_id
    having bool_and({_OVER}) and bool_or(a.pruned_at is null)
    order by min(a.submitted_at), a.event_id"""  # noqa: S608 - nothing from outside

_CHUNKS = """
    select o.id, o.size from alert a join outbox o on o.alert_id = a.id
    where a.event_id = %(event)s and o.kind = 'deliver' and o.id > %(after)s
    order by o.id limit %(limit)s"""

#: The outbox's newest row stays, emptied: a restored database counts on from its number.
_LEFT = """(o.size > 0 or o.id < (select max(id) from outbox))"""

_FORGET = """
    with gone as (
      delete from delivery where id >= %(first)s and id < %(end)s
      returning alert_id, channel, state, reason),
    kept as (
      insert into pruned_delivery (alert_id, channel, state, reason, count)
      select alert_id, channel, state, reason, count(*) from gone group by 1, 2, 3, 4
      on conflict (alert_id, channel, state, reason)
      do update set count = pruned_delivery.count + excluded.count)
    select count(*) from gone"""


@dataclass(frozen=True, slots=True)
class OldEvent:
    """An event that ended long ago.

    Attributes:
        identifier, began_at: Of its first alert.
        busy: Some of its work is not done or a receipt of it not applied; whether its deliveries
            are settled is another question (`in_use`).
    """

    event_id: UUID
    alerts: int
    identifier: str
    began_at: datetime
    deliveries: int
    busy: bool


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows one transaction deleted; `chunks` 0 when none was left."""

    chunks: int = 0
    deliveries: int = 0
    receipts: int = 0


async def take_turn(connection: AsyncConnection) -> None:
    """Wait until no other prune is in a transaction."""
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


async def high_priority_work(connection: AsyncConnection) -> bool:
    """True while an Extreme or Severe alert is being planned or sent, or is due to be."""
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""select exists (select from outbox where lane = any(%s)
           and (state = '{W.LEASED}' or state = '{W.READY}' and not_before <= now()))""",  # noqa: S608
        ([lane.value for lane in HIGH_PRIORITY_LANES],),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def old_events(connection: AsyncConnection, *, cutoff: datetime) -> list[OldEvent]:
    """The events all of whose alerts ended before `cutoff`, oldest first."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(OldEvent)) as cursor:
        await cursor.execute(_EVENTS, {"cutoff": cutoff, "final": _FINAL})
        return await cursor.fetchall()


async def next_chunks(
    connection: AsyncConnection, event_id: UUID, *, after: int, limit: int
) -> list[tuple[int, int]]:
    """An event's chunks with ids above `after`, in order: (id, size)."""
    driver = await raw(connection)
    cursor = await driver.execute(_CHUNKS, {"event": event_id, "after": after, "limit": limit})
    return await cursor.fetchall()


async def in_use(connection: AsyncConnection, chunks: Sequence[tuple[int, int]]) -> bool:
    """True when a delivery of these chunks is not settled, or is a digest whose items are not."""
    driver = await raw(connection)
    for chunk_id, size in chunks:
        first = chunk_id * CHUNK_SPAN
        cursor = await driver.execute(
            """select exists (select from delivery where id >= %(first)s and id < %(end)s
                              and state = any(%(open)s))
                   or exists (select from digest_item
                              where digest_id >= %(first)s and digest_id < %(end)s)""",
            {"first": first, "end": first + size, "open": _OPEN},
        )
        row = await cursor.fetchone()
        if row and row[0]:
            return True
    return False


async def mark(
    connection: AsyncConnection, event_id: UUID, *, cutoff: datetime, now: datetime
) -> list[UUID]:
    """Mark an event's alerts as pruned; empty when something of it is in use again, or another
    prune has marked it.

    Its alerts are locked first, so that changes wait or are seen. An alert marked before keeps its
    time.
    """
    driver = await raw(connection)
    await driver.execute(
        "select id from alert where event_id = %s order by id for update", (event_id,)
    )
    cursor = await driver.execute(
        f"""update alert set pruned_at = coalesce(pruned_at, %(now)s)
            where event_id = %(event)s and exists (
              select from alert a where a.event_id = %(event)s group by a.event_id
              having bool_and({_OVER}) and bool_or(a.pruned_at is null)
                and not exists ({_WORK}) and not exists ({_REPORTED}))
            returning id""",  # noqa: S608 - nothing from outside
        {"event": event_id, "now": now, "cutoff": cutoff, "final": _FINAL},
    )
    return [row[0] for row in await cursor.fetchall()]


async def left_over(connection: AsyncConnection) -> dict[UUID, int]:
    """The marked alerts that still have rows, each with its deliveries: a prune was interrupted."""
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""select o.alert_id, sum(o.size)::int8 from outbox o join alert a on a.id = o.alert_id
            where a.pruned_at is not null and {_LEFT}
            group by o.alert_id"""  # noqa: S608 - nothing from outside
    )
    return dict(await cursor.fetchall())


async def erase(connection: AsyncConnection, alert_ids: Sequence[UUID], *, chunks: int) -> Erased:
    """Delete the newest `chunks` rows of work of marked alerts with everything that depends on
    them.

    Totals of deliveries are kept by alert, channel, state and reason. Called after `take_turn` in
    the same transaction.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""select o.id, o.channel from outbox o join alert a on a.id = o.alert_id
            where o.alert_id = any(%s) and a.pruned_at is not null and {_LEFT}
            order by o.id desc limit %s""",  # noqa: S608 - nothing from outside
        (list(alert_ids), chunks),
    )
    rows = await cursor.fetchall()
    deliveries = receipts = 0
    # One after the other: PostgreSQL then knows the range and takes the index.
    for chunk_id, channel in rows:
        span = {"first": chunk_id * CHUNK_SPAN, "end": (chunk_id + 1) * CHUNK_SPAN}
        counted = await (await driver.execute(_FORGET, span)).fetchone()
        deliveries += counted[0] if counted else 0
        gone = await driver.execute(
            """delete from receipt where channel = %(channel)s
               and delivery_id >= %(first)s and delivery_id < %(end)s""",
            {"channel": channel, **span},
        )
        receipts += gone.rowcount
        await driver.execute(
            "delete from digest_item where delivery_id >= %(first)s and delivery_id < %(end)s", span
        )
    # Last, in the order in which late receipts lock: deliveries first, then their chunks.
    ids = [chunk_id for chunk_id, _ in rows]
    await driver.execute(
        "delete from outbox where id = any(%s) and id < (select max(id) from outbox)", (ids,)
    )
    await driver.execute("update outbox set size = 0 where id = any(%s)", (ids,))
    return Erased(len(rows), deliveries, receipts)

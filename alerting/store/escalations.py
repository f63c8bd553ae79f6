"""Escalations: who was not reached by one channel, and by which other they can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy import select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import Lane
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN, outbox

_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)

#: Did not arrive, or was not sent because the address may not be used.
_FAILED = """(d.state = 'failed'
    or d.state = 'suppressed' and d.reason in ('opted-out','unverified','suspended'))"""

#: The first usable channel, in the citizen's order, by which nobody has tried yet. A citizen whom
#: another delivery of the alert has reached, or still may, needs none.
_STEPS = f"""
    select distinct on (d.citizen_id) d.id as follows, d.citizen_id, t.address_id, t.channel,
           d.info_no, d.area_no, d.places
    from delivery d
    join alert a on a.id = d.alert_id and a.state in ('accepted','delivering','completed')
      and a.expires_at > %(now)s
    join citizen c on c.id = d.citizen_id
    join lateral (
      select n.id as address_id, n.channel from address n
      where n.citizen_id = d.citizen_id and n.consent and n.verified
        and n.suspended_reason is null
        and not exists (select from delivery o where o.citizen_id = d.citizen_id
                        and o.alert_id = d.alert_id and o.channel = n.channel)
      order by array_position(c.channels, n.channel) nulls last,
               array_position(array['push','sms','email'], n.channel), n.id
      limit 1
    ) t on true
    where d.id >= %(first)s and d.id < %(end)s
      and ({_FAILED} or %(silent)s and d.state = 'accepted' and d.accepted_at <= %(before)s)
      and not exists (select from delivery f where f.follows = d.id)
      and not exists (
        select from delivery o
        where o.citizen_id = d.citizen_id and o.alert_id = d.alert_id and o.id <> d.id
          and (o.state in ('planned','deferred','attempting','in_doubt','delivered')
               or o.state = 'accepted'
                  and not (o.channel = any(%(reporting)s) and o.accepted_at <= %(before)s)))
    order by d.citizen_id, d.id"""  # noqa: S608

_REPORTS = """
    select count(*) filter (where d.state = 'accepted' and d.accepted_at <= %(before)s),
           count(*) filter (where d.state = 'delivered'),
           min(d.accepted_at) filter (where d.state = 'accepted' and d.accepted_at > %(before)s)
    from delivery d where d.id >= %(first)s and d.id < %(end)s"""


@dataclass(frozen=True, slots=True)
class Due:
    """A finished chunk whose deliveries are to be looked at."""

    id: int
    alert_id: UUID
    lane: Lane
    channel: str
    size: int


@dataclass(frozen=True, slots=True)
class Reports:
    """What is known of a chunk's arrival: without a report past their time, reported, and when
    the oldest still waited for was accepted."""

    silent: int
    arrived: int
    next_accepted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """One citizen's next channel. follows: the delivery that did not reach them."""

    follows: int
    citizen_id: int
    address_id: int
    channel: str
    info_no: int
    area_no: int
    places: int


async def due(connection: AsyncConnection, *, now: datetime, limit: int) -> list[Due]:
    """Chunks whose time to look has come, locked for this transaction."""
    query = (
        select(outbox.c.id, outbox.c.alert_id, outbox.c.lane, outbox.c.channel, outbox.c.size)
        .where(outbox.c.check_at <= now, outbox.c.state == "done")
        .order_by(outbox.c.check_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [
        Due(row.id, row.alert_id, Lane(row.lane), row.channel, row.size)
        for row in await connection.execute(query)
    ]


async def look_again(connection: AsyncConnection, chunk_id: int, at: datetime | None) -> None:
    """Set when a chunk is looked at next; None for never."""
    await connection.execute(update(outbox).where(outbox.c.id == chunk_id).values(check_at=at))


async def look_now(
    connection: AsyncConnection, delivery_ids: Sequence[int], *, only_done: bool = True
) -> None:
    """Have the chunks of these deliveries looked at in the next round after they are done.

    only_done: leave those alone that a worker holds, and do not wait for it.
    """
    chunks = {i // CHUNK_SPAN for i in delivery_ids}
    if chunks:
        await connection.execute(
            update(outbox)
            .where(
                outbox.c.id.in_(chunks),
                ~outbox.c.digest,
                outbox.c.state == "done" if only_done else true(),
            )
            .values(check_at=_AT_ONCE)
        )


async def reports(connection: AsyncConnection, chunk: Due, *, before: datetime) -> Reports:
    """What is known of a chunk's arrival; silent are those accepted until `before`."""
    driver = await raw(connection)
    first = chunk.id * CHUNK_SPAN
    cursor = await driver.execute(
        _REPORTS, {"first": first, "end": first + chunk.size, "before": before}
    )
    row = await cursor.fetchone()
    return Reports(*row) if row is not None else Reports(0, 0, None)


async def steps(
    connection: AsyncConnection,
    chunk: Due,
    *,
    now: datetime,
    before: datetime,
    silent: bool,
    reporting: Sequence[str],
) -> list[Step]:
    """The next channel of each citizen of the chunk who was not reached, one a citizen.

    silent: also of those accepted until `before` and not reported since. reporting: the channels
    whose providers report. None for an alert that has ended.
    """
    driver = await raw(connection)
    first = chunk.id * CHUNK_SPAN
    async with driver.cursor(row_factory=class_row(Step)) as cursor:
        await cursor.execute(
            _STEPS,
            {
                "first": first,
                "end": first + chunk.size,
                "now": now,
                "before": before,
                "silent": silent,
                "reporting": list(reporting),
            },
        )
        return await cursor.fetchall()


async def first_look(
    connection: AsyncConnection, chunk_id: int, size: int, *, now: datetime, wait_s: float
) -> datetime | None:
    """When a chunk that is done is to be looked at: at once where something failed, else when
    reports are due (`wait_s` 0: never)."""
    driver = await raw(connection)
    first = chunk_id * CHUNK_SPAN
    cursor = await driver.execute(
        f"select exists (select from delivery d where d.id >= %s and d.id < %s and {_FAILED})",  # noqa: S608
        (first, first + size),
    )
    row = await cursor.fetchone()
    if row is not None and row[0]:
        return now
    return now + timedelta(seconds=wait_s) if wait_s else None

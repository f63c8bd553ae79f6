"""The ledger as people read it: an alert's deliveries, one citizen's, and totals."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.db import raw
from alerting.store.ledger import tallies
from alerting.store.schema import CHUNK_SPAN, OPEN
from alerting.store.states import D, W


async def page(
    connection: AsyncConnection, alert_id: UUID, *, after: int, limit: int
) -> list[dict[str, Any]]:
    """An alert's deliveries with ids above `after`, in order, without any address."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            """select d.id, c.ref as citizen, d.channel, d.state, d.reason, d.code,
                      d.possible_duplicate, d.tries, d.planned_at, d.attempted_at,
                      d.accepted_at, d.settled_at
               from outbox o
               join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
               left join citizen c on c.id = d.citizen_id
               where o.alert_id = %(alert)s and o.kind = 'deliver' and d.id > %(after)s
                 and (o.id + 1) * %(span)s > %(after)s
               order by d.id limit %(limit)s""",
            {"span": CHUNK_SPAN, "alert": alert_id, "after": after, "limit": limit},
        )
        return await cursor.fetchall()


async def of_citizen(
    connection: AsyncConnection, alert_id: UUID, ref: str
) -> tuple[int, list[dict[str, Any]]] | None:
    """One citizen, by the register's key, and their deliveries of one alert; None for an unknown
    citizen."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            """select c.id as citizen_id, d.id, d.channel, d.state, d.reason, d.code, d.tries,
                      coalesce(d.attempted_at, d.settled_at, d.planned_at) as decided_at
               from citizen c
               left join delivery d on d.citizen_id = c.id and d.alert_id = %(alert)s
               where c.ref = %(ref)s order by d.id""",
            {"alert": alert_id, "ref": ref},
        )
        rows = await cursor.fetchall()
    if not rows:
        return None
    return rows[0]["citizen_id"], [r for r in rows if r["channel"] is not None]


async def counts(connection: AsyncConnection, alert_id: UUID) -> list[tuple[str, str, str, int]]:
    """The number of deliveries in each state: rows of (channel, state, reason, count)."""
    if await tallies.is_tallied(connection, alert_id):
        return await tallies.counts(connection, alert_id)
    driver = await raw(connection)
    cursor = await driver.execute(
        """select d.channel, d.state, d.reason, count(*)
           from outbox o
           join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
           where o.alert_id = %(alert)s and o.kind = 'deliver'
           group by 1, 2, 3 order by 1, 2, 3""",
        {"span": CHUNK_SPAN, "alert": alert_id},
    )
    return await cursor.fetchall()


async def next_due(connection: AsyncConnection, alert_id: UUID) -> datetime | None:
    """When the first deferred delivery is due; None where one is due within a minute, or none is
    deferred.

    For an alert whose open deliveries are all deferred.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""with first as (
              select id, size, state from outbox where alert_id = %(alert)s and ({OPEN})
              order by not_before limit 1)
            select min(at) from (
              select case when o.state = '{W.READY}' then d.due_at else now() end as at
              from first o
              join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
              where d.state = '{D.DEFERRED}' and d.due_at is not null
              union all
              select min(slot_at) from digest_item where alert_id = %(alert)s) as w
            having min(at) > now() + interval '1 minute'""",  # noqa: S608 - nothing from outside
        {"alert": alert_id, "span": CHUNK_SPAN},
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def pruned_counts(
    connection: AsyncConnection, alert_id: UUID
) -> list[tuple[str, str, str, int]]:
    """The same for pruned deliveries, of which only the totals are left."""
    driver = await raw(connection)
    cursor = await driver.execute(
        """select channel, state, reason, count from pruned_delivery
           where alert_id = %s order by 1, 2, 3""",
        (alert_id,),
    )
    return await cursor.fetchall()


async def latencies(
    connection: AsyncConnection, alert_id: UUID
) -> list[tuple[str, float, float, float, float]]:
    """Seconds from submission to acceptance, within two per cent: rows of (channel, p50, p95, p99,
    last)."""
    if await tallies.is_tallied(connection, alert_id):
        return await tallies.latencies(connection, alert_id)
    driver = await raw(connection)
    cursor = await driver.execute(
        """select d.channel,
                  percentile_cont(array[0.5, 0.95, 0.99, 1.0]) within group (
                    order by extract(epoch from d.accepted_at - a.submitted_at)::float8) as p
           from alert a
           join outbox o on o.alert_id = a.id and o.kind = 'deliver'
           join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
           where a.id = %(alert)s and d.accepted_at is not null
           group by 1 order by 1""",
        {"span": CHUNK_SPAN, "alert": alert_id},
    )
    return [(channel, *p) for channel, p in await cursor.fetchall()]

"""The queries of the walls around drills.

Four queries that share nothing, on purpose: a fault in one of them must not be a hole in another.
Those that read an alert read its own document. None is asked about an Actual alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.db import int8s, raw
from alerting.store.schema import CHUNK_SPAN


async def participants(
    connection: AsyncConnection, alert_id: UUID, citizen_ids: Sequence[int]
) -> dict[int, bool]:
    """First wall, for whom the ledger and not an area names: whether each is on a roster of the
    drill now; nobody who never was on any roster."""
    driver = await raw(connection)
    cursor = await driver.execute(
        """select m.citizen_id,
                  bool_or(m.left_at is null and exists (
                    select from jsonb_array_elements_text(a.document -> 'addresses') as n(name)
                    where n.name = r.name))
           from alert a, roster_member m join roster r on r.id = m.roster_id
           where a.id = %s and m.citizen_id = any(%s::int8[])
           group by m.citizen_id""",
        (alert_id, int8s(citizen_ids)),
    )
    return dict(await cursor.fetchall())


async def outsiders(connection: AsyncConnection, chunk_ids: Sequence[int]) -> int:
    """Second wall: how many deliveries, as these chunks have them now, are for somebody who has
    been on no roster of their alert since its plan was written."""
    driver = await raw(connection)
    cursor = await driver.execute(
        """select count(*) from outbox o
           join delivery d on d.id >= o.id * %(span)s and d.id < o.id * %(span)s + o.size
           where o.id = any(%(chunks)s) and not exists (
             select from roster_member m
             where m.citizen_id = d.citizen_id
               and exists (select from roster r join alert a on a.document -> 'addresses' ? r.name
                           where r.id = m.roster_id and a.id = d.alert_id)
               and (m.left_at is null or m.left_at >= (
                 select max(p.created_at) from outbox p
                 where p.alert_id = d.alert_id and p.kind = 'plan')))""",
        {"span": CHUNK_SPAN, "chunks": list(chunk_ids)},
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def memberships(
    connection: AsyncConnection, alert_id: UUID, names: Sequence[str], citizen_ids: Sequence[int]
) -> dict[int, bool]:
    """Third wall: whether each citizen is on one of these rosters now; nobody who has been on none
    since the plan of the alert was written."""
    driver = await raw(connection)
    cursor = await driver.execute(
        """select c.id, bool_or(m.left_at is null)
           from unnest(%s::int8[]) as c(id) join roster_member m on m.citizen_id = c.id
           where m.roster_id in (select id from roster where name = any(%s))
             and (m.left_at is null or m.left_at >= (
               select max(created_at) from outbox where alert_id = %s and kind = 'plan'))
           group by c.id""",
        (int8s(citizen_ids), list(names), alert_id),
    )
    return dict(await cursor.fetchall())


async def passes(
    connection: AsyncConnection, names: Sequence[str], chunk_id: int, size: int
) -> dict[int, bytes]:
    """Fourth wall: the passes that these rosters give to the addresses of a chunk, by address."""
    driver = await raw(connection)
    cursor = await driver.execute(
        """select distinct on (p.address_id) p.address_id, p.pass
           from roster_pass p join roster r on r.id = p.roster_id
           where r.name = any(%(names)s) and p.address_id in (
             select address_id from delivery where id >= %(first)s and id < %(end)s)
           order by p.address_id""",
        {
            "names": list(names),
            "first": chunk_id * CHUNK_SPAN,
            "end": chunk_id * CHUNK_SPAN + size,
        },
    )
    return {address_id: bytes(found) for address_id, found in await cursor.fetchall()}

"""What waits for citizens' digests, and which delivery carried it in the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import SETTLED, TOLD, DeliveryState
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN


@dataclass(frozen=True, slots=True)
class Item:
    """A deferred delivery that joins its citizen's digest at `slot_at`."""

    delivery_id: int
    citizen_id: int
    event_id: UUID
    slot_at: datetime


@dataclass(frozen=True, slots=True)
class DueItem:
    """An item whose slot has come, as its deferred delivery stands."""

    delivery_id: int
    citizen_id: int
    event_id: UUID
    alert_id: UUID
    address_id: int
    channel: str
    info_no: int
    area_no: int
    places: int


@dataclass(frozen=True, slots=True)
class Carried:
    """One alert inside a digest."""

    alert_id: UUID
    info_no: int
    area_no: int


async def add(connection: AsyncConnection, items: Sequence[Item]) -> None:
    """Note what waits, in the transaction that defers it."""
    if not items:
        return
    driver = await raw(connection)
    await driver.execute(
        """insert into digest_item (delivery_id, citizen_id, event_id, slot_at)
           select * from unnest(%s::int8[], %s::int8[], %s::uuid[], %s::timestamptz[])
           on conflict (delivery_id) do update set slot_at = excluded.slot_at, digest_id = null""",
        (
            [i.delivery_id for i in items],
            [i.citizen_id for i in items],
            [i.event_id for i in items],
            [i.slot_at for i in items],
        ),
    )


async def due(connection: AsyncConnection, *, now: datetime, citizens: int) -> list[DueItem]:
    """Everything due of the first `citizens` citizens with something due, by citizen.

    What is no longer deferred is forgotten on the way.
    """
    driver = await raw(connection)
    await driver.execute(
        """delete from digest_item i where i.slot_at <= %s and i.digest_id is null
           and not exists (select from delivery d where d.id = i.delivery_id
                           and d.state = 'deferred')""",
        (now,),
    )
    async with driver.cursor(row_factory=class_row(DueItem)) as cursor:
        await cursor.execute(
            """select i.delivery_id, i.citizen_id, a.event_id, d.alert_id, d.address_id,
                      d.channel, d.info_no, d.area_no, d.places
               from digest_item i
               join delivery d on d.id = i.delivery_id
               join alert a on a.id = d.alert_id
               where i.digest_id is null and i.slot_at <= %(now)s and i.citizen_id in (
                 select distinct citizen_id from digest_item
                 where digest_id is null and slot_at <= %(now)s
                 order by citizen_id limit %(citizens)s)
               order by i.citizen_id, a.sent_at, i.delivery_id""",
            {"now": now, "citizens": citizens},
        )
        return await cursor.fetchall()


async def assign(connection: AsyncConnection, carriers: Mapping[int, int]) -> None:
    """Say which delivery carries each item: {item's delivery id: digest's delivery id}."""
    if not carriers:
        return
    driver = await raw(connection)
    await driver.execute(
        """update digest_item i set digest_id = r.digest_id
           from unnest(%s::int8[], %s::int8[]) as r(delivery_id, digest_id)
           where i.delivery_id = r.delivery_id""",
        (list(carriers), list(carriers.values())),
    )


async def carried(
    connection: AsyncConnection, chunk_id: int, size: int
) -> dict[int, list[Carried]]:
    """What each digest of a chunk carries, the gravest lane's and newest first.

    What was called back since it was assigned is not carried; a digest may be left with nothing.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        """select i.digest_id, d.alert_id, d.info_no, d.area_no
           from digest_item i
           join delivery d on d.id = i.delivery_id
           join alert a on a.id = d.alert_id
           where i.digest_id >= %(first)s and i.digest_id < %(end)s and d.state = 'deferred'
           order by i.digest_id, array_position(array['extreme','severe'], a.lane) nulls last,
                    a.sent_at desc""",
        {"first": chunk_id * CHUNK_SPAN, "end": chunk_id * CHUNK_SPAN + size},
    )
    found: dict[int, list[Carried]] = defaultdict(list)
    for digest_id, alert_id, info_no, area_no in await cursor.fetchall():
        found[digest_id].append(Carried(alert_id, info_no, area_no))
    return dict(found)


async def settle_carried(connection: AsyncConnection, *, now: datetime) -> list[int]:
    """End every item as the digest that carries it ended; returns those that did not arrive.

    Items of a digest that did not go out because the alert that led it had ended wait anew.
    """
    driver = await raw(connection)
    await driver.execute(
        """update digest_item i set digest_id = null from delivery c
           where c.id = i.digest_id and c.state in ('revoked', 'expired')"""
    )
    cursor = await driver.execute(
        """with ended as (
             delete from digest_item i using delivery c
             where c.id = i.digest_id and c.state = any(%(settled)s)
             returning i.delivery_id, c.state, c.reason)
           update delivery d set settled_at = %(now)s,
             state = case when e.state = any(%(told)s) then 'suppressed' else e.state end,
             reason = case when e.state = any(%(told)s) then 'digested' else e.reason end
           from ended e where d.id = e.delivery_id and d.state = 'deferred'
           returning d.id, d.state""",
        {
            "now": now,
            "told": [s.value for s in TOLD],
            "settled": [s.value for s in SETTLED],
        },
    )
    return [id_ for id_, state in await cursor.fetchall() if state == DeliveryState.FAILED]

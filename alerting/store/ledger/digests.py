"""Items that wait for citizens' digests, and the delivery that carried each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import NOTIFIED, SETTLED, DeliveryState
from alerting.store.db import int8s, raw
from alerting.store.schema import CHUNK_SPAN
from alerting.store.states import D, delivery_from

#: The items of a digest are found by the range of their chunk's deliveries.
_CARRIED_BY = """i.digest_id >= %(first)s and i.digest_id < %(end)s and c.id = i.digest_id"""

_WAIT_ANEW = f"""
    update digest_item i set digest_id = null from delivery c
    where {_CARRIED_BY} and c.state in ('{D.REVOKED}','{D.EXPIRED}')"""  # noqa: S608 - nothing from outside

_RECORD = f"""
    with ended as (
      delete from digest_item i using delivery c
      where {_CARRIED_BY} and c.state = any(%(ended)s)
      returning i.delivery_id, c.state, c.reason)
    update delivery d set settled_at = %(now)s,
      state = case when e.state = any(%(notified)s) then '{D.SUPPRESSED}' else e.state end,
      reason = case when e.state = any(%(notified)s) then 'digested' else e.reason end
    from ended e where d.id = e.delivery_id
      and d.state in {delivery_from(D.SUPPRESSED, D.DEFERRED)}
    returning d.id, d.state"""  # noqa: S608 - nothing from outside

#: A chunk may be taken up once more; then it is looked at again.
_SETTLED = """
    update outbox set settled = true where id = %(id)s and not exists (
      select from digest_item where digest_id >= %(first)s and digest_id < %(end)s)"""

_NOTIFIED = [s.value for s in NOTIFIED]
_ENDED = [s.value for s in SETTLED]

_START = (datetime(1970, 1, 1, tzinfo=UTC), 0)

_FIRST_DUE = """
    select slot_at, delivery_id, citizen_id from digest_item
    where digest_id is null and slot_at <= %(now)s
      and (slot_at, delivery_id) > (%(slot)s, %(delivery)s)
    order by slot_at, delivery_id limit %(limit)s"""

_DUE = f"""
    select i.delivery_id, i.citizen_id, a.event_id, d.alert_id, d.address_id, d.channel,
           d.info_no, d.area_no, d.places, coalesce(d.state = '{D.DEFERRED}', false) as waits
    from digest_item i
    left join delivery d on d.id = i.delivery_id
    left join alert a on a.id = d.alert_id
    where i.digest_id is null and i.slot_at <= %(now)s
      and i.citizen_id = any(%(citizens)s::int8[])
    order by i.citizen_id, a.sent_at, i.delivery_id"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Item:
    """A deferred delivery that joins its citizen's digest at `slot_at`."""

    delivery_id: int
    citizen_id: int
    event_id: UUID
    alert_id: UUID
    slot_at: datetime


#: How far the items that are due were looked through: the last one's slot and delivery.
Place = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Due:
    """The due items of some citizens, by citizen.

    Attributes:
        next_place: Where to continue; None where nothing more is due.
    """

    items: list[DueItem]
    next_place: Place | None


@dataclass(frozen=True, slots=True)
class DueItem:
    """An item whose slot has come, with the state of its deferred delivery."""

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
    """Add items, in the transaction that defers their deliveries."""
    if not items:
        return
    driver = await raw(connection)
    await driver.execute(
        """insert into digest_item (delivery_id, citizen_id, event_id, alert_id, slot_at)
           select * from unnest(%s::int8[], %s::int8[], %s::uuid[], %s::uuid[], %s::timestamptz[])
           on conflict (delivery_id) do update set slot_at = excluded.slot_at, digest_id = null""",
        (
            [i.delivery_id for i in items],
            [i.citizen_id for i in items],
            [i.event_id for i in items],
            [i.alert_id for i in items],
            [i.slot_at for i in items],
        ),
    )


async def due(
    connection: AsyncConnection, *, now: datetime, after: Place | None, limit: int
) -> Due:
    """Everything due for the citizens of the first `limit` items that are due after a place.

    Items whose delivery is no longer deferred are deleted.
    """
    driver = await raw(connection)
    slot_at, delivery_id = after or _START
    values = {"now": now, "slot": slot_at, "delivery": delivery_id, "limit": limit}
    first = await (await driver.execute(_FIRST_DUE, values)).fetchall()
    if not first:
        return Due([], None)
    values["citizens"] = int8s({citizen_id for _, _, citizen_id in first})
    rows = await (await driver.execute(_DUE, values)).fetchall()
    gone = [row[0] for row in rows if not row[-1]]
    if gone:
        await driver.execute("delete from digest_item where delivery_id = any(%s)", (gone,))
    items = [DueItem(*row[:-1]) for row in rows if row[-1]]
    return Due(items, first[-1][:2] if len(first) == limit else None)


async def assign(connection: AsyncConnection, carriers: Mapping[int, int]) -> None:
    """Record which delivery carries each item: {item's delivery id: digest's delivery id}."""
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
    """What each digest of a chunk carries, the highest lane first, then the newest.

    Items revoked since they were assigned are left out; a digest may be left empty.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""select i.digest_id, d.alert_id, d.info_no, d.area_no
           from digest_item i
           join delivery d on d.id = i.delivery_id
           join alert a on a.id = d.alert_id
           where i.digest_id >= %(first)s and i.digest_id < %(end)s and d.state = '{D.DEFERRED}'
           order by i.digest_id, array_position(array['extreme','severe'], a.lane) nulls last,
                    a.sent_at desc""",  # noqa: S608
        {"first": chunk_id * CHUNK_SPAN, "end": chunk_id * CHUNK_SPAN + size},
    )
    found: dict[int, list[Carried]] = defaultdict(list)
    for digest_id, alert_id, info_no, area_no in await cursor.fetchall():
        found[digest_id].append(Carried(alert_id, info_no, area_no))
    return dict(found)


async def record_carried_outcomes(
    connection: AsyncConnection, *, now: datetime, chunks: int
) -> tuple[int, list[int]]:
    """Give every item of up to `chunks` chunks of digests the outcome of its digest.

    Items of a digest that did not go out because its leading alert had ended wait for the next
    digest. Returns how many chunks, and the items that were not delivered.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        """select id, size from outbox where digest and not settled and done_at is not null
           order by done_at limit %s for no key update skip locked""",
        (chunks,),
    )
    rows = await cursor.fetchall()
    unreached: list[int] = []
    # One after the other: PostgreSQL then knows the range and takes the index.
    for chunk_id, size in rows:
        span = {"first": chunk_id * CHUNK_SPAN, "end": chunk_id * CHUNK_SPAN + size}
        await driver.execute(_WAIT_ANEW, span)
        cursor = await driver.execute(
            _RECORD, span | {"now": now, "notified": _NOTIFIED, "ended": _ENDED}
        )
        unreached += [
            id_ for id_, state in await cursor.fetchall() if state == DeliveryState.FAILED
        ]
        await driver.execute(_SETTLED, span | {"id": chunk_id})
    return len(rows), unreached

"""The audience of an end: everybody who was notified of the event, or may have been.

While an end is accepted, providers may still be called for the last windows of the alerts it ends.
Citizens in such a window count as notified; the throttle waits until the outcome is known.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import ENDED
from alerting.domain.delivery import NOTIFIED
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN
from alerting.store.states import D, W

#: Who was notified, or may have been: by a message, in a digest, or without any receipt.
_REACHED = f"""(d.state = any(%(notified)s) or d.reason = 'digested'
               or d.state = '{D.FAILED}' and d.reason = 'in-doubt')"""

#: Deliveries of an ended alert that may still be sent: in an open window, or where the alert
#: continues for people elsewhere.
_ON_ITS_WAY = f"""(d.state = '{D.PLANNED}' and a.thread_id = %(thread)s and o.state <> '{W.DONE}'
                  and (not a.state = any(%(ended)s)
                       or d.id >= o.id * %(span)s + o.window_from
                          and d.id < o.id * %(span)s + o.window_to))"""

#: Each address with when its citizen was last notified of a danger and that all of it was over. Who
#: was notified of something that this very end ends is never left out. `order by` and `limit` keep
#: PostgreSQL from going through the whole ledger.
_NOTIFIED_OF = f"""
    with notified as (
      select d.citizen_id, d.address_id, d.channel, bool_or(not a.ends) as danger,
             max(w.at) filter (where not a.ends) as danger_at,
             max(w.at) filter (where d.reason = 'ended') as over_at,
             bool_or(a.ended_by = %(end)s) as mine
      from alert a join outbox o on o.alert_id = a.id and o.kind = 'deliver'
      cross join lateral (
        select * from delivery where id >= o.id * %(span)s and id < o.id * %(span)s + o.size
        order by id limit %(span)s) as d
      cross join lateral (select case when d.state = '{D.PLANNED}' then 'infinity'::timestamptz
        else coalesce(d.accepted_at, d.attempted_at, d.settled_at, d.planned_at) end as at) as w
      where a.event_id = %(event)s and a.id <> %(end)s and ({_REACHED}
        or %(on_its_way)s and {_ON_ITS_WAY})
      group by 1, 2, 3),
    known as (
      select *, max(danger_at) over w as last_danger_at, max(over_at) over w as last_over_at,
             bool_or(mine) over w as any_mine
      from notified window w as (partition by citizen_id))
    select k.citizen_id, k.address_id, k.channel, coalesce(c.language, 'en') as language
    from known k left join citizen c on c.id = k.citizen_id
    where k.danger and (k.any_mine or k.last_over_at is null
                        or k.last_danger_at >= k.last_over_at)"""  # noqa: S608 - nothing from outside


@dataclass(frozen=True, slots=True)
class NotifiedAddress:
    """One address that was notified, or may have been."""

    citizen_id: int
    address_id: int
    channel: str
    language: str


#: The name of an end that is not written yet.
_NONE = UUID(int=0)


def _values(event_id: UUID, thread_id: UUID, end: UUID = _NONE) -> dict[str, Any]:
    return {
        "on_its_way": end != _NONE,
        "event": event_id,
        "thread": thread_id,
        "end": end,
        "span": CHUNK_SPAN,
        "notified": [s.value for s in NOTIFIED],
        "ended": [s.value for s in ENDED],
    }


async def notified(
    connection: AsyncConnection, end: StoredAlert, *, batch: int
) -> AsyncGenerator[list[NotifiedAddress]]:
    """Who was notified of the event of an end, and not yet of its end, by citizen.

    Streams through a server-side cursor, so that memory stays flat; a citizen's addresses are never
    split over two batches.
    """
    driver = await raw(connection)
    async with driver.cursor(name="notified", row_factory=class_row(NotifiedAddress)) as cursor:
        query = f"{_NOTIFIED_OF} order by k.citizen_id, k.address_id"
        await cursor.execute(query, _values(end.event_id, end.thread_id, end.id))
        held: list[NotifiedAddress] = []
        while rows := await cursor.fetchmany(batch):
            held += rows
            # The last citizen may go on in the next fetch.
            whole = [r for r in held if r.citizen_id != held[-1].citizen_id]
            if whole:
                yield whole
            held = held[len(whole) :]
        if held:
            yield held


async def count(
    connection: AsyncConnection, event_id: UUID, thread_id: UUID
) -> tuple[int, dict[str, int]]:
    """How many citizens, and addresses by channel, an end of this thread would be for."""
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""select channel, count(*), grouping(channel), count(distinct citizen_id)
            from ({_NOTIFIED_OF}) as t group by rollup (channel) order by 1""",  # noqa: S608
        _values(event_id, thread_id),
    )
    rows = await cursor.fetchall()
    citizens = next((row[3] for row in rows if row[2]), 0)
    return int(citizens), {channel: n for channel, n, total, _ in rows if not total}


async def kept_back(
    connection: AsyncConnection, event_id: UUID, thread_id: UUID, in_force: Sequence[UUID]
) -> dict[UUID, int]:
    """For each of these alerts in force, the number of citizens whom it keeps from an end of this
    thread.

    A citizen counts for each alert that has a delivery for them, whether that was sent or withheld.
    """
    if not in_force:
        return {}
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""select d.alert_id, count(distinct d.citizen_id)
            from (select distinct citizen_id from ({_NOTIFIED_OF}) as t) as who
            join delivery d on d.citizen_id = who.citizen_id and d.alert_id = any(%(in_force)s)
            group by 1""",  # noqa: S608 - nothing from outside
        _values(event_id, thread_id) | {"in_force": list(in_force)},
    )
    return dict(await cursor.fetchall())

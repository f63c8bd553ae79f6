"""Small things that grow with the years though nothing rests on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.db import raw
from alerting.store.schema import alarm

_PAGE = """
    select max(id), max(received_at) from (
      select id, received_at from receipt where id > %(after)s order by id limit %(limit)s) as r"""

_LOST = """
    delete from receipt r where r.id > %(after)s and r.id <= %(last)s
      and r.applied_at is not null and r.received_at < %(cutoff)s
      and not exists (select from delivery d where d.id = r.delivery_id)"""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of receipts that was looked at. last: where to go on; None when that is all."""

    deleted: int
    last: int | None


async def lost_receipts(
    connection: AsyncConnection, *, after: int, cutoff: datetime, limit: int
) -> Page:
    """Of `limit` receipts with ids above `after` delete those from before `cutoff` that were
    applied and whose deliveries are gone: they came late, or for what a restore forgot."""
    driver = await raw(connection)
    wanted = {"after": after, "limit": limit, "cutoff": cutoff}
    found = await (await driver.execute(_PAGE, wanted)).fetchone()
    if found is None or found[0] is None:
        return Page(0, None)
    last, newest_at = found
    gone = await driver.execute(_LOST, wanted | {"last": last})
    # They are numbered as they come: what follows is newer still.
    return Page(gone.rowcount, last if newest_at < cutoff else None)


async def closed_alarms(connection: AsyncConnection, *, cutoff: datetime, limit: int) -> int:
    """Delete up to `limit` alarms closed before `cutoff`; returns how many."""
    old = select(alarm.c.id).where(alarm.c.closed_at < cutoff).order_by(alarm.c.id).limit(limit)
    return (await connection.execute(delete(alarm).where(alarm.c.id.in_(old)))).rowcount

"""Providers: how well each delivers the messages it accepts, and its penalty."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN, provider
from alerting.store.states import D

#: `order by` and `limit` keep PostgreSQL from going through the whole ledger. Late is what arrived
#: later than `late_s` after it was accepted, or failed for a reason that does not lie with the
#: address or the text.
_WELL = f"""
    select d.provider as name, d.channel, count(*) as told,
           count(*) filter (where d.state = '{D.DELIVERED}') as arrived,
           count(*) filter (where
             d.state = '{D.DELIVERED}' and d.settled_at - d.accepted_at > %(late)s
             or d.state = '{D.FAILED}' and d.reason <> all(%(not_theirs)s)) as late,
           count(*) filter (where
             d.state = '{D.ACCEPTED}' and d.accepted_at < %(now)s - %(late)s) as silent
    from outbox o
    cross join lateral (
      select provider, channel, state, reason, accepted_at, settled_at from delivery
      where id >= o.id * %(span)s and id < o.id * %(span)s + o.size
      order by id limit %(span)s) as d
    where o.kind = 'deliver' and o.channel = any(%(channels)s)
      and (o.done_at is null or o.done_at > %(since)s)
      and d.provider <> '' and d.accepted_at > %(since)s
    group by 1, 2"""  # noqa: S608

_NOT_THEIRS = [
    "opted-out",
    "dead-address",
    "unreachable",
    "refused-content",
    "in-doubt",
]


@dataclass(frozen=True, slots=True)
class Well:
    """A provider's recent results; see `providers.penalty.Record`."""

    name: str
    channel: str
    told: int
    arrived: int
    late: int
    silent: int


@dataclass(frozen=True, slots=True)
class Standing:
    """penalty: 0 is preferred; the higher, the later it is called."""

    name: str
    channel: str
    penalty: int
    reason: str
    changed_at: datetime


_FIELDS = [provider.c[name] for name in Standing.__slots__]


async def how_well(
    connection: AsyncConnection, channels: list[str], *, now: datetime, span_s: float, late_s: float
) -> list[Well]:
    """Each provider's results within the last `span_s` seconds, for these channels."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(Well)) as cursor:
        await cursor.execute(
            _WELL,
            {
                "span": CHUNK_SPAN,
                "channels": channels,
                "now": now,
                "since": now - timedelta(seconds=span_s),
                "late": timedelta(seconds=late_s),
                "not_theirs": _NOT_THEIRS,
            },
        )
        return await cursor.fetchall()


async def standings(connection: AsyncConnection) -> dict[str, Standing]:
    """Every provider that has ever had a penalty, by name."""
    rows = await connection.execute(select(*_FIELDS))
    return {row.name: Standing(**row._mapping) for row in rows}


async def set_penalty(
    connection: AsyncConnection, name: str, channel: str, penalty: int, reason: str, *, at: datetime
) -> None:
    """Set a provider's penalty."""
    values = {"penalty": penalty, "reason": reason, "changed_at": at}
    query = insert(provider).values(name=name, channel=channel, **values)
    await connection.execute(query.on_conflict_do_update(index_elements=["name"], set_=values))

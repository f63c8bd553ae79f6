"""Queues: which work a worker gets next. Rows of the outbox are claimed in the order of their
ranks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import Lane
from alerting.store.db import Database, raw
from alerting.store.states import W, work_from
from alerting.store.work.outbox import FIRST, FRONT, Work

#: Due rows join the queue near its front: they have waited once already.
_WAKE = f"""
    update outbox o set rank = case when a.ends then %(ahead)s
        else {FRONT.format(lane="o.lane", channel="o.channel")} + 1 end
    from alert a
    where a.id = o.alert_id and o.id in (
      select w.id from outbox w
      where w.state = '{W.READY}' and w.rank is null and w.not_before <= now()
      order by w.not_before limit %(most)s for no key update skip locked)"""  # noqa: S608

_TAKE = f"""
    update outbox o set state = '{W.LEASED}', owner = %(owner)s, fence = o.fence + 1,
      tries = o.tries + 1, lease_until = now() + make_interval(secs => %(lease_s)s)
    from best where o.id = best.id
    returning o.id, o.alert_id, o.kind, o.lane, o.channel, o.digest, o.size, o.cursor,
      o.window_from, o.window_to, o.fence, o.tries, coalesce(o.rank, 0)"""  # noqa: S608

_CLAIM = f"""
    with best as (
      select w.id from unnest(%(lanes)s::text[], %(channels)s::text[], %(below)s::float8[])
        as room(lane, channel, below)
      cross join lateral (
        select o.id from outbox o
        where o.lane = room.lane and o.channel = room.channel and o.state = '{W.READY}'
          and o.rank < room.below and o.not_before <= now()
        order by o.rank, o.id limit 1 for no key update skip locked) as w)
    {_TAKE}"""  # noqa: S608

#: Looks at the newest rows: what another alert has queued came while this one was planned. Of two
#: only the one with more queued yields.
_SMALLER = f"""
    with own as (select count(*) as n from (
      select from outbox where alert_id = %(alert)s and state = '{W.READY}' limit 1000) as q)
    select exists (
      select from (
        select distinct alert_id from (
          select alert_id from outbox
          where lane = %(lane)s and state in ('{W.READY}','{W.LEASED}') and not_before <= now()
          order by id desc limit 50) as newest) as other
      where other.alert_id <> %(alert)s and (select n from own) > (select count(*) from (
        select from outbox where alert_id = other.alert_id and state = '{W.READY}'
        limit 1000) as q))
      and (select n from own) >= %(enough)s"""  # noqa: S608

#: Rows that a dead or stopped worker held, and rows claimed by a reply that was lost. Their
#: windows stay open.
_RECOVER = f"""
    update outbox set state = '{W.READY}', rank = null, owner = '', lease_until = null
    where id in (
      select id from outbox
      where state in {work_from(W.READY)} and (lease_until < now() or owner = any(%(gone)s)
        or owner = %(own)s and not id = any(%(held)s)
          and lease_until < now() + make_interval(secs => %(fresh_s)s))
      for no key update skip locked)
    returning id"""  # noqa: S608

# Asked ten times a second by every busy process.
_YOUNG = f"""
    select l.lane from unnest(%(lanes)s::text[]) as l(lane)
    cross join lateral (
      select o.created_at from outbox o
      where o.lane = l.lane and o.state in ('{W.READY}','{W.LEASED}') and o.not_before <= now()
      order by o.id desc limit 1) as newest
    where newest.created_at > now() - make_interval(secs => %(age_s)s)"""  # noqa: S608

#: Rows woken by one claim.
_MOST = 500

#: A lane and a channel, and the rank below which a row of that queue may be claimed: 0 for ends and
#: cancels only, infinity for any.
Room = tuple[Lane, str, float]


async def claim(db: Database, room: Sequence[Room], *, owner: str, lease_s: float) -> list[Work]:
    """Claim the first row of each of these queues, in one round trip."""
    values = {
        "lanes": [lane.value for lane, _, _ in room],
        "channels": [channel for _, channel, _ in room],
        "below": [below for _, _, below in room],
        "owner": owner,
        "lease_s": lease_s,
    }
    async with db.pipelined() as driver:
        await driver.execute(_WAKE, {"ahead": FIRST, "most": _MOST})
        rows = await driver.execute(_CLAIM, values)
    return [_work(row) for row in await rows.fetchall()]


async def claim_one(
    connection: AsyncConnection, outbox_id: int, *, owner: str, lease_s: float
) -> Work | None:
    """Claim this row, whatever its rank; None when it is done or leased."""
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""update outbox set state = '{W.LEASED}', owner = %(owner)s, fence = fence + 1,
             tries = tries + 1, lease_until = now() + make_interval(secs => %(lease_s)s)
           where id = %(id)s and state in {work_from(W.LEASED)}
           returning id, alert_id, kind, lane, channel, digest, size, cursor, window_from,
             window_to, fence, tries, coalesce(rank, 0)""",  # noqa: S608
        {"id": outbox_id, "owner": owner, "lease_s": lease_s},
    )
    row = await cursor.fetchone()
    return None if row is None else _work(row)


def _work(row: psycopg.rows.TupleRow) -> Work:
    id_, alert_id, kind, lane, *rest = row
    return Work(id_, alert_id, kind, Lane(lane), *rest)


async def smaller_waits(db: Database, plan: Work, *, enough: int) -> bool:
    """True when the alert of this plan has `enough` chunks or more queued while an alert of its
    lane with fewer waits to be sent."""
    async with db.pipelined() as driver:
        rows = await driver.execute(
            _SMALLER, {"alert": plan.alert_id, "lane": plan.lane.value, "enough": enough}
        )
    row = await rows.fetchone()
    return bool(row and row[0])


async def recover(
    db: Database,
    gone: Collection[str],
    *,
    own: str = "",
    held: Collection[int] = (),
    fresh_s: float = 0.0,
) -> list[int]:
    """Free work leased by dead owners, work with expired leases, and work leased by `own` that is
    not among the rows it holds: the reply to that claim was lost.

    Args:
        fresh_s: A lease with longer to go is not freed as lost. PostgreSQL may run this long after
            it was asked, when `own` holds more.
    """
    values = {"gone": list(gone), "own": own, "held": list(held), "fresh_s": fresh_s}
    async with db.pipelined() as driver:
        rows = await driver.execute(_RECOVER, values)
    return [row[0] for row in await rows.fetchall()]


async def young(db: Database, lanes: Collection[Lane], *, age_s: float) -> frozenset[Lane]:
    """The lanes among these whose newest due work was written within `age_s` and is not done."""
    async with db.pipelined() as driver:
        rows = await driver.execute(
            _YOUNG, {"lanes": [lane.value for lane in lanes], "age_s": age_s}
        )
    return frozenset(Lane(lane) for (lane,) in await rows.fetchall())

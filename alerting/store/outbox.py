"""Durable work: a plan to make, a chunk to deliver. Claimed by lease, guarded by a fence.

A row waits in the queue of its lane and channel, in the order of its `rank`. A claim raises the
row's fence; every later write names it (`claims`). A row that waits for a time, such as a retry,
has no rank until that time has come.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import Lane
from alerting.store.db import Database, raw
from alerting.store.schema import outbox

#: The channel of a plan, which needs none.
PLAN = ""

#: The rank of ends and cancels, before everything else of their queue and in order of their ids.
_FIRST = -1.0


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed row of the outbox. `kind` is `plan` or `deliver`; a deliver row is a chunk.

    first: it goes before everything else of its lane, as ends and cancels do.
    """

    id: int
    alert_id: UUID
    kind: str
    lane: Lane
    channel: str
    digest: bool
    size: int
    cursor: int
    window_from: int
    window_to: int
    fence: int
    tries: int
    first: bool = False


#: The largest step between two chunks of an alert: beside another that steps by one, no alert is
#: left with less than one chunk in so many.
_WIDEST = 30.0


@dataclass(slots=True)
class Ranks:
    """Places the chunks of one alert in their queues, so that alerts share a lane's capacity.

    Start-time fair queueing (Goyal, Vin and Cheng, 1996): a chunk's rank is the rank now at the
    front of its queue, or that of the alert's chunk before it, and a step that grows with what the
    alert has queued already. A small alert is therefore soon done beside a large one, and no alert
    waits for ever.

    first: the alert is an end or a cancel. others: the open alerts of the same tenant, which shares
    one place at the front between all of them.
    """

    first: bool = False
    others: int = 0
    _queued: dict[tuple[Lane, str], tuple[int, float]] = field(default_factory=dict)

    def step(self, lane: Lane, channel: str) -> tuple[float, float]:
        """The rank of the chunk before in this queue, and how far behind it the next one stands."""
        count, last = self._queued.get((lane, channel), (0, 0.0))
        return last, min(_WIDEST, 1.5 * math.sqrt(count)) if count else 1.0 + self.others

    def queued(self, lane: Lane, channel: str, rank: float) -> None:
        """Note the rank that the next chunk of this queue got."""
        count, _ = self._queued.get((lane, channel), (0, 0.0))
        self._queued[lane, channel] = (count + 1, rank)


#: How far a queue has come: the rank at its front, or where nothing waits that of what was last
#: claimed and is not done. Ends do not count.
_FRONT = """greatest(0,
    (select f.rank from outbox f where f.lane = {lane} and f.channel = {channel}
       and f.state = 'ready' and f.rank >= 0 order by f.rank limit 1),
    (select max(f.rank) from outbox f where f.lane = {lane} and f.channel = {channel}
       and f.state = 'leased'))"""

_PLAN = """
    insert into outbox (alert_id, kind, lane, rank)
    select a.id, 'plan', %(lane)s, case when %(first)s then %(ahead)s else (
        select count(*) from outbox p join alert b on b.id = p.alert_id
        where p.lane = %(lane)s and p.channel = '' and p.state = 'ready' and p.rank >= 0
          and b.submitted_by = a.submitted_by) end
    from alert a where a.id = %(alert)s
    returning id"""

_CHUNK = f"""
    insert into outbox (alert_id, kind, lane, channel, size, digest, check_at, rank)
    values (%(alert)s, 'deliver', %(lane)s, %(channel)s, %(size)s, %(digest)s,
      now() + make_interval(secs => %(look_after_s)s),
      case when not %(ranked)s then null when %(first)s then %(ahead)s
           else greatest(%(last)s, {_FRONT.format(lane="%(lane)s", channel="%(channel)s")})
                + %(step)s end)
    returning id, rank"""  # noqa: S608

#: What has become due joins the queue near its front: it has waited once already.
_WAKE = f"""
    update outbox o set rank = case when a.ends then %(ahead)s
        else {_FRONT.format(lane="o.lane", channel="o.channel")} + 1 end
    from alert a
    where a.id = o.alert_id and o.id in (
      select w.id from outbox w
      where w.state = 'ready' and w.rank is null and w.not_before <= now()
      order by w.not_before limit %(most)s for no key update skip locked)"""  # noqa: S608

_TAKE = """
    update outbox o set state = 'leased', owner = %(owner)s, fence = o.fence + 1,
      tries = o.tries + 1, lease_until = now() + make_interval(secs => %(lease_s)s)
    from best where o.id = best.id
    returning o.id, o.alert_id, o.kind, o.lane, o.channel, o.digest, o.size, o.cursor,
      o.window_from, o.window_to, o.fence, o.tries, coalesce(o.rank < 0, false)"""

_CLAIM = f"""
    with best as (
      select w.id from unnest(%(lanes)s::text[], %(channels)s::text[], %(below)s::float8[])
        as room(lane, channel, below)
      cross join lateral (
        select o.id from outbox o
        where o.lane = room.lane and o.channel = room.channel and o.state = 'ready'
          and o.rank < room.below and o.not_before <= now()
        order by o.rank, o.id limit 1 for no key update skip locked) as w)
    {_TAKE}"""  # noqa: S608

#: Looks at few: whoever else waits stands near the front.
_CLAIM_OTHERS = f"""
    with best as (
      select w.id from unnest(%(lanes)s::text[], %(channels)s::text[]) as full_(lane, channel)
      cross join lateral (
        select o.id from outbox o
        where o.state = 'ready' and not o.alert_id = any(%(alerts)s) and o.id in (
          select f.id from outbox f
          where f.lane = full_.lane and f.channel = full_.channel and f.state = 'ready'
            and f.rank is not null and f.not_before <= now()
          order by f.rank, f.id limit 5)
        order by o.rank, o.id limit 1 for no key update skip locked) as w)
    {_TAKE}"""  # noqa: S608

#: Looks at the newest rows: what another alert has queued came while this one was planned. Of two
#: only the one that has more queued stands aside.
_SMALLER = """
    with own as (select count(*) as n from (
      select from outbox where alert_id = %(alert)s and state = 'ready' limit 1000) as q)
    select exists (
      select from (
        select distinct alert_id from (
          select alert_id from outbox
          where lane = %(lane)s and state in ('ready','leased') and not_before <= now()
          order by id desc limit 50) as newest) as other
      where other.alert_id <> %(alert)s and (select n from own) > (select count(*) from (
        select from outbox where alert_id = other.alert_id and state = 'ready' limit 1000) as q))
      and (select n from own) >= %(enough)s"""

#: What a dead or stopped worker held, and what was claimed without the worker learning of it. What
#: a window holds stays marked.
_RECOVER = """
    update outbox set state = 'ready', rank = null, owner = '', lease_until = null
    where id in (
      select id from outbox
      where state = 'leased' and (lease_until < now() or owner = any(%(gone)s)
        or owner = %(own)s and not id = any(%(held)s))
      for no key update skip locked)
    returning id"""

# Asked ten times a second by every busy process.
_YOUNG = """
    select l.lane from unnest(%(lanes)s::text[]) as l(lane)
    cross join lateral (
      select o.created_at from outbox o
      where o.lane = l.lane and o.state in ('ready','leased') and o.not_before <= now()
      order by o.id desc limit 1) as newest
    where newest.created_at > now() - make_interval(secs => %(age_s)s)"""

#: Rows woken by one claim.
_MOST = 500

#: A lane and a channel.
Queue = tuple[Lane, str]
#: A queue that is claimed from; True where only for ends and cancels.
Room = tuple[Lane, str, bool]


async def add_plan(
    connection: AsyncConnection, alert_id: UUID, lane: Lane, *, first: bool = False
) -> int:
    """Write the intent to plan an alert, in the transaction that stores it; returns its id.

    A tenant's second plan waits for the first of every other tenant.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        _PLAN, {"alert": alert_id, "lane": lane.value, "first": first, "ahead": _FIRST}
    )
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"there is no alert {alert_id}")
    return int(row[0])


async def add_chunks(
    connection: AsyncConnection,
    alert_id: UUID,
    lane: Lane,
    sizes: Iterable[tuple[str, int]],
    *,
    ranks: Ranks | None = None,
    digest: bool = False,
    look_after_s: float = 0,
) -> list[int]:
    """Write one chunk row per (channel, size); returns their ids in the same order.

    ranks: of the alert's chunks before; without it they join their queue near the front.
    digest: they are of digests, and `alert_id` leads them. look_after_s: when to look for people
    not reached, though nobody may have taken a chunk by then; 0 for never.
    """
    driver = await raw(connection)
    ids = []
    for channel, size in sizes:
        last, step = ranks.step(lane, channel) if ranks else (0.0, 0.0)
        cursor = await driver.execute(
            _CHUNK,
            {
                "alert": alert_id,
                "lane": lane.value,
                "channel": channel,
                "size": size,
                "digest": digest,
                "look_after_s": look_after_s or None,
                "ranked": ranks is not None,
                "first": ranks is not None and ranks.first,
                "ahead": _FIRST,
                "last": last,
                "step": step,
            },
        )
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - an insert of one row returns one
        ids.append(int(row[0]))
        if ranks is not None:
            ranks.queued(lane, channel, row[1])
    return ids


async def claim(db: Database, room: Sequence[Room], *, owner: str, lease_s: float) -> list[Work]:
    """Take the first row of each of these queues that has one, in one round trip."""
    values = {
        "lanes": [lane.value for lane, _, _ in room],
        "channels": [channel for _, channel, _ in room],
        "below": [0.0 if only_first else math.inf for _, _, only_first in room],
        "owner": owner,
        "lease_s": lease_s,
    }
    async with db.one_flight() as driver:
        await driver.execute(_WAKE, {"ahead": _FIRST, "most": _MOST})
        rows = await driver.execute(_CLAIM, values)
    return [_work(row) for row in await rows.fetchall()]


async def claim_one(
    connection: AsyncConnection, outbox_id: int, *, owner: str, lease_s: float
) -> Work | None:
    """Take this row, whatever its place; None when it is done or in another worker's hands."""
    driver = await raw(connection)
    cursor = await driver.execute(
        """update outbox set state = 'leased', owner = %(owner)s, fence = fence + 1,
             tries = tries + 1, lease_until = now() + make_interval(secs => %(lease_s)s)
           where id = %(id)s and state = 'ready'
           returning id, alert_id, kind, lane, channel, digest, size, cursor, window_from,
             window_to, fence, tries, coalesce(rank < 0, false)""",
        {"id": outbox_id, "owner": owner, "lease_s": lease_s},
    )
    row = await cursor.fetchone()
    return None if row is None else _work(row)


def _work(row: psycopg.rows.TupleRow) -> Work:
    id_, alert_id, kind, lane, *rest = row
    return Work(id_, alert_id, kind, Lane(lane), *rest)


async def claim_others(
    db: Database, full: Collection[Queue], alerts: Collection[UUID], *, owner: str, lease_s: float
) -> list[Work]:
    """Take from each of these queues the first row of another alert than these that stands near
    the front."""
    values = {
        "lanes": [lane.value for lane, _ in full],
        "channels": [channel for _, channel in full],
        "alerts": list(alerts),
        "owner": owner,
        "lease_s": lease_s,
    }
    async with db.one_flight() as driver:
        rows = await driver.execute(_CLAIM_OTHERS, values)
    return [_work(row) for row in await rows.fetchall()]


async def smaller_waits(db: Database, plan: Work, *, enough: int) -> bool:
    """True where the alert of this plan has `enough` chunks or more queued, and an alert of its
    lane that has fewer is to be told."""
    async with db.one_flight() as driver:
        rows = await driver.execute(
            _SMALLER, {"alert": plan.alert_id, "lane": plan.lane.value, "enough": enough}
        )
    row = await rows.fetchone()
    return bool(row and row[0])


async def recover(
    db: Database, gone: Collection[str], *, own: str = "", held: Collection[int] = ()
) -> list[int]:
    """Free what is leased by the owners that are gone, what outlived its lease, and what is leased
    by `own` but not among the rows it holds: the answer to that claim was lost."""
    values = {"gone": list(gone), "own": own, "held": list(held)}
    async with db.one_flight() as driver:
        rows = await driver.execute(_RECOVER, values)
    return [row[0] for row in await rows.fetchall()]


async def young(db: Database, lanes: Collection[Lane], *, age_s: float) -> frozenset[Lane]:
    """The lanes among these whose newest due work was written within `age_s` and is not done."""
    async with db.one_flight() as driver:
        rows = await driver.execute(
            _YOUNG, {"lanes": [lane.value for lane in lanes], "age_s": age_s}
        )
    return frozenset(Lane(lane) for (lane,) in await rows.fetchall())


async def waiting(connection: AsyncConnection) -> list[tuple[str, int, float]]:
    """What is open, by lane: (lane, rows, seconds the oldest due row has waited)."""
    age = func.extract("epoch", func.now() - func.min(outbox.c.not_before))
    query = (
        select(outbox.c.lane, func.count(), func.greatest(age, 0))
        .where(outbox.c.state.in_(["ready", "leased"]))
        .group_by(outbox.c.lane)
    )
    counts = {lane: (n, float(s)) for lane, n, s in await connection.execute(query)}
    return [(lane.value, *counts.get(lane.value, (0, 0.0))) for lane in Lane]

"""Durable work: a plan to make, a chunk to deliver. Claimed by lease, guarded by a fence.

A row waits in the queue of its lane and channel, in the order of its `rank`. A claim raises the
row's fence; every later write names it (`claims`). A row that waits for a time, such as a retry,
has no rank until then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import Lane
from alerting.store.db import raw
from alerting.store.schema import outbox
from alerting.store.states import W

#: The channel of a plan, which needs none.
PLAN = ""

#: The rank of ends and cancels, before everything else of their queue and in order of their ids.
FIRST = -1.0


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed row of the outbox. `kind` is `plan` or `deliver`; a deliver row is a chunk."""

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
    rank: float = 0.0

    @property
    def first(self) -> bool:
        """True for ends and cancels, which come before everything else of their lane."""
        return self.rank < 0


#: The largest step between two chunks of an alert: beside one other alert it gets at least one
#: chunk in thirty.
WIDEST = 30.0


@dataclass(slots=True)
class Ranks:
    """Places the chunks of one alert in their queues, so that alerts share a lane's capacity.

    Self-clocked fair queueing (Golestani, 1994): a chunk's rank is the progress of its queue
    (`FRONT`), or the rank of the alert's previous chunk if that is higher, plus a step. The step
    grows with the number of chunks that the alert has queued, so a small alert completes soon
    beside a large one, and the large one still progresses.

    Attributes:
        first: The alert is an end or a cancel.
        others: How many other alerts of the same submitter are open; its first chunk is queued that
            much further back.
    """

    first: bool = False
    others: int = 0
    _queued: dict[tuple[Lane, str], tuple[int, float]] = field(default_factory=dict)

    def step(self, lane: Lane, channel: str) -> tuple[float, float]:
        """The rank of the previous chunk in this queue, and the step to the next one."""
        count, last = self._queued.get((lane, channel), (0, 0.0))
        return last, min(WIDEST, 1.5 * math.sqrt(count)) if count else 1.0 + self.others

    def queued(self, lane: Lane, channel: str, rank: float) -> None:
        """Note the rank that the next chunk of this queue got."""
        count, _ = self._queued.get((lane, channel), (0, 0.0))
        self._queued[lane, channel] = (count + 1, rank)


#: How far a queue has come: the least rank of what is claimed and not done, if that is not far
#: behind, else the rank at its front. Ends do not count.
FRONT = f"""(select case
    when busy is null then coalesce(ready, 0)
    when ready is null then busy
    else least(greatest(busy, ready - {2 * WIDEST}), ready) end
  from (select
    (select f.rank from outbox f where f.lane = {{lane}} and f.channel = {{channel}}
       and f.state = '{W.READY}' and f.rank >= 0 order by f.rank limit 1) as ready,
    (select min(f.rank) from outbox f where f.lane = {{lane}} and f.channel = {{channel}}
       and f.state = '{W.LEASED}' and f.rank >= 0) as busy) as progress)"""  # noqa: S608

_PLAN = f"""
    insert into outbox (alert_id, kind, lane, rank)
    select a.id, 'plan', %(lane)s, case when %(first)s then %(ahead)s else (
        select count(*) from outbox p join alert b on b.id = p.alert_id
        where p.lane = %(lane)s and p.channel = '' and p.state = '{W.READY}' and p.rank >= 0
          and b.submitted_by = a.submitted_by) end
    from alert a where a.id = %(alert)s
    returning id"""  # noqa: S608

_CHUNK = f"""
    insert into outbox (alert_id, kind, lane, channel, size, digest, check_at, rank)
    values (%(alert)s, 'deliver', %(lane)s, %(channel)s, %(size)s, %(digest)s,
      now() + make_interval(secs => %(look_after_s)s),
      case when not %(ranked)s then null when %(first)s then %(ahead)s
           else greatest(%(last)s, {FRONT.format(lane="%(lane)s", channel="%(channel)s")})
                + %(step)s end)
    returning id, rank"""  # noqa: S608


async def add_plan(
    connection: AsyncConnection, alert_id: UUID, lane: Lane, *, first: bool = False
) -> int:
    """Write the plan of an alert, in the transaction that stores the alert; returns its id.

    A submitter's second plan waits for the first of every other submitter.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        _PLAN, {"alert": alert_id, "lane": lane.value, "first": first, "ahead": FIRST}
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
    """Write one chunk row for each (channel, size); returns their ids in the same order.

    Args:
        ranks: Of the alert's earlier chunks; None to join the queues near the front.
        digest: They carry digests, and `alert_id` is the leading alert.
        look_after_s: When to check for citizens not reached, even if no worker has taken the chunk
            by then; 0 for never.
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
                "ahead": FIRST,
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


async def waiting(connection: AsyncConnection) -> list[tuple[str, int, float]]:
    """Open work by lane: (lane, rows, seconds the oldest due row has waited)."""
    age = func.extract("epoch", func.now() - func.min(outbox.c.not_before))
    query = (
        select(outbox.c.lane, func.count(), func.greatest(age, 0))
        .where(outbox.c.state.in_([W.READY, W.LEASED]))
        .group_by(outbox.c.lane)
    )
    counts = {lane: (n, float(s)) for lane, n, s in await connection.execute(query)}
    return [(lane.value, *counts.get(lane.value, (0, 0.0))) for lane in Lane]

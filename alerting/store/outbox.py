"""Durable work: a plan to make, a chunk to deliver. Claimed by lease, guarded by a fence.

A claim raises the row's fence; every later write names it (`claims`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Interval,
    and_,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import Lane
from alerting.store.db import Database
from alerting.store.presence import owner_is_gone
from alerting.store.schema import outbox


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


_WORK = [outbox.c[name] for name in Work.__slots__]

# Asked ten times a second by every busy process.
_YOUNG = """
    select l.lane from unnest(%(lanes)s::text[]) as l(lane)
    cross join lateral (
      select o.created_at from outbox o
      where o.lane = l.lane and o.state in ('ready','leased') and o.not_before <= now()
      order by o.id desc limit 1) as newest
    where newest.created_at > now() - make_interval(secs => %(age_s)s)"""


def seconds(s: float) -> ColumnElement[Any]:
    """A span of time as PostgreSQL counts it."""
    return cast(literal(f"{s} seconds"), Interval)


def _claimable() -> ColumnElement[bool]:
    return or_(
        and_(outbox.c.state == "ready", outbox.c.not_before <= func.now()),
        and_(outbox.c.state == "leased", or_(outbox.c.lease_until < func.now(), owner_is_gone())),
    )


async def add_plan(connection: AsyncConnection, alert_id: UUID, lane: Lane) -> int:
    """Write the intent to plan an alert, in the transaction that stores it; returns its id."""
    query = insert(outbox).values(alert_id=alert_id, kind="plan", lane=lane.value)
    return int((await connection.execute(query.returning(outbox.c.id))).scalar_one())


async def add_chunks(
    connection: AsyncConnection, alert_id: UUID, lane: Lane, sizes: Sequence[tuple[str, int]]
) -> list[int]:
    """Write one chunk row per (channel, size); returns their ids in the same order."""
    rows = [
        {
            "alert_id": alert_id,
            "kind": "deliver",
            "lane": lane.value,
            "channel": channel,
            "size": size,
        }
        for channel, size in sizes
    ]
    if not rows:
        return []
    query = insert(outbox).returning(outbox.c.id, sort_by_parameter_order=True)
    return [row.id for row in await connection.execute(query, rows)]


async def add_digest(
    connection: AsyncConnection, alert_id: UUID, lane: Lane, *, channel: str, size: int
) -> int:
    """Write the row of a chunk of digests that `alert_id` leads; returns its id."""
    query = insert(outbox).values(
        alert_id=alert_id,
        kind="deliver",
        lane=lane.value,
        channel=channel,
        size=size,
        digest=True,
    )
    return int((await connection.execute(query.returning(outbox.c.id))).scalar_one())


async def claim(
    connection: AsyncConnection, outbox_id: int, *, owner: str, lease_s: float
) -> Work | None:
    """Take one row; None when it is done, not due, or in another worker's hands."""
    return await _claim(connection, outbox.c.id == outbox_id, owner=owner, lease_s=lease_s)


async def claim_overdue(
    connection: AsyncConnection,
    overdue_s: dict[Lane, float],
    *,
    owner: str,
    lease_s: float,
) -> Work | None:
    """Take the first row, gravest lane first, that has waited longer than its lane's patience.

    Such a row's doorbell was lost: the broker is gone, was wiped, or its worker died.
    """
    for lane in Lane:
        if lane not in overdue_s:
            continue
        patience = seconds(overdue_s[lane])
        overdue = select(outbox.c.id).where(
            outbox.c.lane == lane.value,
            outbox.c.state.in_(["ready", "leased"]),
            _claimable(),
            func.coalesce(outbox.c.rung_at, outbox.c.not_before) < func.now() - patience,
        )
        first = overdue.order_by(outbox.c.id).limit(1).with_for_update(skip_locked=True)
        work = await _claim(
            connection, outbox.c.id == first.scalar_subquery(), owner=owner, lease_s=lease_s
        )
        if work is not None:
            return work
    return None


async def _claim(
    connection: AsyncConnection, which: ColumnElement[bool], *, owner: str, lease_s: float
) -> Work | None:
    query = (
        update(outbox)
        .where(which, outbox.c.state.in_(["ready", "leased"]), _claimable())
        .values(
            state="leased",
            owner=owner,
            fence=outbox.c.fence + 1,
            tries=outbox.c.tries + 1,
            lease_until=func.now() + seconds(lease_s),
        )
        .returning(*_WORK)
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    values = dict(row._mapping)
    values["lane"] = Lane(values["lane"])
    return Work(**values)


async def rung(connection: AsyncConnection, outbox_ids: Sequence[int]) -> None:
    """Note that the doorbell was rung for these rows, so that the sweeper waits for it."""
    await connection.execute(
        update(outbox).where(outbox.c.id.in_(outbox_ids)).values(rung_at=func.now())
    )


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

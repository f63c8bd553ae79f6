"""Tallies: the number of an alert's deliveries in each state, without reading the deliveries.

Triggers on `delivery` write each change (revision 0012); `add_up` folds the changes into totals. An
alert from before that revision is counted from its deliveries (`delivery_queries`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import NOTIFIED, SETTLED
from alerting.store.db import raw

#: Bucket n holds what took up to _UNIT_S × _GROWTH**n; the function `tally_bucket` says the same.
_UNIT_S = 0.001
_GROWTH = 1.02

_TALLY = """
    select channel, state, reason, bucket, sum(count)::int8 from (
      select channel, state, reason, bucket, count from delivery_tally where alert_id = %(alert)s
      union all
      select channel, state, reason, bucket, count from delivery_tally_delta
      where alert_id = %(alert)s) as t
    group by 1, 2, 3, 4 having sum(count) <> 0"""

_ADD_UP = """
    with taken as (
      delete from delivery_tally_delta where id = any(array(
        select id from delivery_tally_delta order by id limit %(limit)s))
      returning alert_id, channel, state, reason, bucket, count),
    added as (
      insert into delivery_tally (alert_id, channel, state, reason, bucket, count)
      select alert_id, channel, state, reason, bucket, sum(count) from taken
      group by 1, 2, 3, 4, 5 having sum(count) <> 0
      on conflict (alert_id, channel, state, reason, bucket)
      do update set count = delivery_tally.count + excluded.count
      returning alert_id, count)
    select (select count(*) from taken), array_agg(alert_id) filter (where count = 0),
           array_agg(distinct alert_id)
    from added"""

_WITH_OPEN = """
    select alert_id from (
      select alert_id, state, count from delivery_tally where alert_id = any(%(alerts)s)
      union all
      select alert_id, state, count from delivery_tally_delta
      where alert_id = any(%(alerts)s)) as t
    where state <> all(%(settled)s) group by 1 having sum(count) > 0"""

_ANY_NOTIFIED = """
    select exists (select from delivery_tally
                   where alert_id = %s and state = any(%s) and count > 0)"""

#: (channel, state, reason, count)
Count = tuple[str, str, str, int]

#: (channel, p50, p95, p99, last)
Latency = tuple[str, float, float, float, float]


async def is_tallied(connection: AsyncConnection, alert_id: UUID) -> bool:
    """False for an alert whose deliveries were not counted from the first."""
    driver = await raw(connection)
    cursor = await driver.execute("select tallied from alert where id = %s", (alert_id,))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def counts(connection: AsyncConnection, alert_id: UUID) -> list[Count]:
    """The exact number of an alert's deliveries in each state."""
    found: dict[tuple[str, str, str], int] = defaultdict(int)
    for channel, state, reason, _, count in await _tally(connection, alert_id):
        found[channel, state, reason] += count
    return [(*key, count) for key, count in sorted(found.items()) if count]


async def latencies(connection: AsyncConnection, alert_id: UUID) -> list[Latency]:
    """Seconds from submission to acceptance, within two per cent."""
    buckets: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for channel, _, _, bucket, count in await _tally(connection, alert_id):
        if bucket >= 0:
            buckets[channel][bucket] += count
    return [(channel, *_quantiles(tally)) for channel, tally in sorted(buckets.items())]


async def with_open(connection: AsyncConnection, alert_ids: Collection[UUID]) -> set[UUID]:
    """Those of these alerts that have unsettled deliveries."""
    driver = await raw(connection)
    settled = sorted(SETTLED)
    cursor = await driver.execute(_WITH_OPEN, {"alerts": list(alert_ids), "settled": settled})
    return {row[0] for row in await cursor.fetchall()}


async def any_notified(connection: AsyncConnection, alert_id: UUID) -> bool:
    """True when, by the totals, somebody was notified or may have been. Changes that are not
    added up yet do not count."""
    driver = await raw(connection)
    row = await (await driver.execute(_ANY_NOTIFIED, (alert_id, sorted(NOTIFIED)))).fetchone()
    return bool(row and row[0])


async def add_up(connection: AsyncConnection, *, limit: int) -> tuple[int, list[UUID]]:
    """Fold up to `limit` changes into the totals; returns how many, and the alerts they were of.
    One at a time in a database."""
    driver = await raw(connection)
    row = await (await driver.execute(_ADD_UP, {"limit": limit})).fetchone()
    count, empty, changed = row or (0, None, None)
    if empty:
        await driver.execute(
            "delete from delivery_tally where alert_id = any(%s) and count = 0", (empty,)
        )
    return int(count), changed or []


async def _tally(
    connection: AsyncConnection, alert_id: UUID
) -> list[tuple[str, str, str, int, int]]:
    driver = await raw(connection)
    return await (await driver.execute(_TALLY, {"alert": alert_id})).fetchall()


def _quantiles(tally: dict[int, int]) -> tuple[float, float, float, float]:
    """The 50th, 95th and 99th percentile and the last, each the middle of its bucket."""
    total, reached, found = sum(tally.values()), 0, []
    wanted = [0.5, 0.95, 0.99, 1.0]
    for bucket, count in sorted(tally.items()):
        reached += count
        while wanted and reached >= wanted[0] * total:
            wanted.pop(0)
            found.append(_UNIT_S * _GROWTH ** (bucket - 0.5))
    p50, p95, p99, last = found
    return p50, p95, p99, last

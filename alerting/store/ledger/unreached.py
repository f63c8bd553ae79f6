"""Citizens whom a chunk did not reach, and the next channel for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.decision import Reason
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN
from alerting.store.states import A, D


def _may_reach(d: str) -> str:
    """SQL: this delivery reached its endpoint, or may still do so in time."""
    return f"""({d}.state = '{D.DELIVERED}'
        or {d}.state in ('{D.PLANNED}','{D.IN_DOUBT}')
           and greatest({d}.planned_at, {d}.due_at) > %(open_before)s
        or {d}.state = '{D.ACCEPTED}' and not ({d}.channel = any(%(reporting)s)
           and {d}.accepted_at <= %(silent_before)s))"""


#: SQL: another citizen's delivery to the same endpoint reached it, or may still do so.
_TWIN_MAY_REACH = f"""exists (
    select from address shared join delivery t
      on t.citizen_id = shared.citizen_id and t.address_id = shared.id
    where shared.endpoint = mine.endpoint and shared.channel = mine.channel and shared.id <> mine.id
      and t.alert_id = d.alert_id and {_may_reach("t")})"""


def _digest_failed(d: str) -> str:
    """SQL: the digest that carried this delivery did not arrive. It is the last one to the address
    from before the delivery was settled; a minute allows for two clocks, digests are hours apart.
    """
    return f"""coalesce((
        select c.state = '{D.FAILED}' from delivery c join outbox co on co.id = c.id / {CHUNK_SPAN}
        where c.citizen_id = {d}.citizen_id and c.address_id = {d}.address_id and co.digest
          and c.accepted_at <= {d}.settled_at + interval '1 minute'
        order by c.accepted_at desc limit 1), false)"""  # noqa: S608 - nothing from outside


_UNREACHED = f"""(d.state = '{D.FAILED}'
    or d.state in ('{D.PLANNED}','{D.IN_DOUBT}','{D.ACCEPTED}') and not {_may_reach("d")}
    or d.state = '{D.SUPPRESSED}' and (
      d.reason in ('{Reason.OPTED_OUT}','{Reason.UNVERIFIED}','{Reason.SUSPENDED}')
      or d.reason = '{Reason.DIGESTED}' and {_digest_failed("d")}
      or d.reason = '{Reason.ALREADY_TOLD}' and exists (
        select from address mine where mine.id = d.address_id and not {_TWIN_MAY_REACH})))"""

#: The chunk's deliveries, and those to the same endpoints in any chunk.
_STEPS = f"""
    with gone as (
      select d.id, d.alert_id, d.citizen_id, d.address_id, d.info_no, d.area_no, d.places
      from delivery d where d.id >= %(first)s and d.id < %(end)s and {_UNREACHED}),
    who as (
      select * from gone
      union
      select d.id, d.alert_id, d.citizen_id, d.address_id, d.info_no, d.area_no, d.places
      from gone g join address theirs on theirs.id = g.address_id
      join address mine on mine.endpoint = theirs.endpoint and mine.channel = theirs.channel
        and mine.id <> theirs.id
      join delivery d on d.citizen_id = mine.citizen_id and d.alert_id = g.alert_id
        and d.address_id = mine.id
      where d.state = '{D.SUPPRESSED}' and d.reason = '{Reason.ALREADY_TOLD}'
        and not {_TWIN_MAY_REACH})
    select distinct on (d.citizen_id) d.id as follows, d.citizen_id, t.address_id, t.channel,
           d.info_no, d.area_no, d.places
    from who d
    join alert a on a.id = d.alert_id
      and a.state in ('{A.ACCEPTED}','{A.DELIVERING}','{A.COMPLETED}')
      and a.expires_at > %(now)s
    join citizen c on c.id = d.citizen_id
    join lateral (
      select n.id as address_id, n.channel from address n
      where n.citizen_id = d.citizen_id and n.consent and n.verified
        and n.suspended_reason is null
        and not exists (select from delivery o where o.citizen_id = d.citizen_id
                        and o.alert_id = d.alert_id and o.channel = n.channel)
      order by array_position(c.channels, n.channel) nulls last,
               array_position(%(order)s::text[], n.channel), n.id
      limit 1
    ) t on true
    where not exists (select from delivery f where f.follows = d.id)
      and not exists (
        select from delivery o
        where o.citizen_id = d.citizen_id and o.alert_id = d.alert_id and o.id <> d.id
          and (o.state = '{D.DEFERRED}' or {_may_reach("o")}
               or o.state = '{D.SUPPRESSED}' and o.reason = '{Reason.DIGESTED}'
                  and not {_digest_failed("o")}))
    order by d.citizen_id, d.id"""  # noqa: S608 - nothing from outside

#: When the first of those that are open will have waited too long.
_NEXT = f"""
    select bool_or({_UNREACHED} and not exists (select from delivery f where f.follows = d.id)),
           bool_or(d.state = '{D.ACCEPTED}' and d.channel = any(%(reporting)s)),
           min(r.late_at) filter (where r.late_at > %(now)s)
    from delivery d
    left join lateral (select greatest(d.planned_at, d.due_at) + %(wait)s as late_at
      where d.state in ('{D.PLANNED}','{D.IN_DOUBT}')
        or d.state = '{D.DEFERRED}' and d.due_at is not null
    ) r on true
    where d.id >= %(first)s and d.id < %(end)s"""  # noqa: S608 - nothing from outside

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a delivery may take before it counts as not reached; `wait_s` 0 is for ever.

    Attributes:
        reporting: The channels whose providers report what arrived.
        order: Of the channels a citizen did not rank, which come last.
    """

    now: datetime
    wait_s: float
    reporting: Sequence[str]
    order: Sequence[str]

    @property
    def before(self) -> datetime:
        """What happened until then has had its time."""
        return self.now - timedelta(seconds=self.wait_s) if self.wait_s else _NEVER


@dataclass(frozen=True, slots=True)
class Step:
    """One citizen's next channel.

    Attributes:
        follows: The delivery that was not delivered.
    """

    follows: int
    citizen_id: int
    address_id: int
    channel: str
    info_no: int
    area_no: int
    places: int


async def steps(
    connection: AsyncConnection, chunk_id: int, size: int, wait: Wait, *, believe_silence: bool
) -> list[Step]:
    """The next channel of each citizen of the chunk who was not reached, one for each citizen.

    It is the first usable channel, in the citizen's order, that has not been tried. A citizen is
    not reached when their delivery failed, when the address may not be used, or when no provider
    has accepted the delivery within the wait; should it still arrive, the citizen is notified
    twice. So is a citizen whose delivery was withheld for another citizen of the same endpoint,
    when that one was not reached either. A delivery that is deferred on purpose, for the morning or
    a digest, or that may still arrive in time keeps the citizen from the next channel. None for an
    alert that has ended.

    Args:
        believe_silence: Deliveries accepted before the wait and not reported since count as not
            delivered.
    """
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(Step)) as cursor:
        silent_before = wait.before if believe_silence else _NEVER
        values = _values(chunk_id, size, wait, open_before=wait.before, silent_before=silent_before)
        await cursor.execute(_STEPS, values)
        return await cursor.fetchall()


async def next_look(
    connection: AsyncConnection, chunk_id: int, size: int, wait: Wait
) -> datetime | None:
    """When a chunk that a worker releases is checked: at once where a delivery failed for good,
    else when the wait of the first open or accepted one ends; None where nothing can change."""
    driver = await raw(connection)
    values = _values(chunk_id, size, wait, open_before=_NEVER, silent_before=_NEVER)
    row = await (await driver.execute(_NEXT, values)).fetchone()
    unreached, accepted, late_at = row or (False, False, None)
    if unreached:
        return wait.now
    if not wait.wait_s:
        return None
    times = [late_at, wait.now + timedelta(seconds=wait.wait_s) if accepted else None]
    return min((t for t in times if t is not None), default=None)


def _values(
    chunk_id: int, size: int, wait: Wait, *, open_before: datetime, silent_before: datetime
) -> dict[str, Any]:
    first = chunk_id * CHUNK_SPAN
    return {
        "first": first,
        "end": first + size,
        "now": wait.now,
        "wait": timedelta(seconds=wait.wait_s),
        "reporting": list(wait.reporting),
        "order": list(wait.order),
        "open_before": open_before,
        "silent_before": silent_before,
    }

"""The ledger: one row per delivery, written in bulk, moved only forward.

Every function takes the transaction's connection; those that write on a worker's behalf are
called after `claims.hold` in the same transaction, which fences them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import args_row
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import DeliveryState
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN
from alerting.store.states import D, delivery_from, unsettled_from

#: The reason of what was settled when a restored database was reconciled.
RESTORED = "restored"

#: Deferred without a time of its own, a delivery waits for its citizen's digest and is not open.
_IS_OPEN = f"""(d.state in ('{D.PLANNED}','{D.IN_DOUBT}')
    or d.state = '{D.DEFERRED}' and d.due_at is not null)"""

_JUDGED = f"""
    select d.id, d.citizen_id, d.address_id, d.info_no, d.area_no, d.places, d.state, d.tries,
           d.deferrals, d.due_at, d.attempted_at,
           a.endpoint, nullif(a.keys, '{{}}'), a.consent, a.verified,
           coalesce(a.suspended_reason, '') as suspended_reason,
           coalesce(c.language, 'en') as language, coalesce(c.time_zone, '') as time_zone,
           c.quiet_from, c.quiet_to,
           coalesce(shared.notified, false) as already_told,
           d.provider, d.follows, coalesce(shared.first, false) as waits,
           d.possible_duplicate and d.reason = '{RESTORED}' as resend
    from delivery d
    left join address a on a.id = d.address_id
    left join citizen c on c.id = d.citizen_id
    left join lateral (
      select bool_or(t.state in ('{D.ACCEPTED}','{D.DELIVERED}')
                     or t.state = '{D.IN_DOUBT}'
                        and (t.id < d.id or d.state <> '{D.IN_DOUBT}')) as notified,
             bool_or(t.id < d.id and t.id / %(span)s <> d.id / %(span)s
                     and (t.state = '{D.PLANNED}'
                          or t.state = '{D.DEFERRED}' and t.due_at <= %(now)s)
             ) as first
      from address other join delivery t
        on t.citizen_id = other.citizen_id and t.address_id = other.id
      where other.endpoint = a.endpoint and other.channel = a.channel and other.id <> a.id
        and other.consent and other.verified and other.suspended_reason is null
        and t.alert_id = d.alert_id) shared on true
"""  # noqa: S608

_OPEN = f"{_JUDGED} where d.id >= %(first)s and d.id < %(end)s and {_IS_OPEN} order by d.id"


class OpenDelivery(NamedTuple):
    """An open delivery, with the current state of its address.

    A row of `_JUDGED`, in its order; a tuple, because a worker makes thousands a second.

    Attributes:
        due_at: When a deferred one is evaluated again.
        already_told: Its endpoint has the alert, or may have, for another citizen who shares it.
        provider: Who was last called.
        follows: The delivery by another channel that did not reach the citizen.
        waits: Another chunk's delivery to the same endpoint goes first; only when that has gone, or
            is withheld, is this one decided.
        resend: In doubt since the database was restored, and to be sent again in any lane.
    """

    id: int
    citizen_id: int
    address_id: int
    info_no: int
    area_no: int
    places: int
    state: str
    tries: int
    deferrals: int
    due_at: datetime | None
    attempted_at: datetime | None
    endpoint: str | None
    keys: Mapping[str, str] | None
    consent: bool | None
    verified: bool | None
    suspended_reason: str
    language: str
    time_zone: str
    quiet_from: time | None
    quiet_to: time | None
    already_told: bool
    provider: str = ""
    follows: int | None = None
    waits: bool = False
    resend: bool = False

    @property
    def seq(self) -> int:
        """Its place in the chunk."""
        return self.id % CHUNK_SPAN


async def open_of_chunk(
    connection: AsyncConnection, chunk_id: int, size: int, *, now: datetime
) -> list[OpenDelivery]:
    """The chunk's deliveries that still need a decision or a send, in order."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=args_row(OpenDelivery)) as cursor:
        first = chunk_id * CHUNK_SPAN
        values = {"first": first, "end": first + size, "now": now, "span": CHUNK_SPAN}
        await cursor.execute(_OPEN, values)
        return await cursor.fetchall()


async def as_evaluated(
    connection: AsyncConnection, alert_id: UUID, citizen_id: int
) -> dict[int, OpenDelivery]:
    """One citizen's deliveries of one alert as they were put before the throttle, by id."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=args_row(OpenDelivery)) as cursor:
        await cursor.execute(
            _JUDGED + " where d.citizen_id = %(citizen)s and d.alert_id = %(alert)s order by d.id",
            {"citizen": citizen_id, "alert": alert_id, "now": None, "span": CHUNK_SPAN},
        )
        return {d.id: d for d in await cursor.fetchall()}


async def mark_in_doubt(
    connection: AsyncConnection, chunk_id: int, window: tuple[int, int], *, now: datetime
) -> int:
    """Everything unsettled in a dead worker's window may have been taken; returns how many.

    A try is counted for what was in doubt before and about to be sent once more.
    """
    driver = await raw(connection)
    first = chunk_id * CHUNK_SPAN
    cursor = await driver.execute(
        f"""update delivery set state = '{D.IN_DOUBT}', reason = 'worker-died', tries = tries + 1,
                  attempted_at = %(now)s
           where id >= %(a)s and id < %(b)s
             and (state in {delivery_from(D.IN_DOUBT, D.PLANNED)}
                  or state = '{D.IN_DOUBT}' and possible_duplicate)""",  # noqa: S608
        {"a": first + window[0], "b": first + window[1], "now": now},
    )
    return cursor.rowcount


async def about_to_repeat(connection: AsyncConnection, delivery_ids: Sequence[int]) -> set[int]:
    """Flag what is in doubt and will be sent once more, before it is; returns those still in doubt.

    Afterwards may be too late: the worker may die, and a receipt of the first try end the doubt.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        f"""update delivery set possible_duplicate = true
           where id = any(%s) and state = '{D.IN_DOUBT}' returning id""",  # noqa: S608
        (list(delivery_ids),),
    )
    return {row[0] for row in await cursor.fetchall()}


async def take_up(connection: AsyncConnection, delivery_ids: Sequence[int]) -> None:
    """Plan what was deferred once more, before it is sent: should the worker die then, it is found
    in doubt like everything else in its window."""
    driver = await raw(connection)
    await driver.execute(
        f"""update delivery set state = '{D.PLANNED}'
            where id = any(%s) and state in {delivery_from(D.PLANNED)}""",  # noqa: S608
        (list(delivery_ids),),
    )


async def close_chunk(
    connection: AsyncConnection,
    chunk_id: int,
    size: int,
    state: DeliveryState,
    reason: str,
    *,
    now: datetime,
) -> int:
    """Settle all that is left of a chunk in one state. What may have been sent is left alone,
    unless the state is FAILED: then it ends as `in-doubt`."""
    driver = await raw(connection)
    first = chunk_id * CHUNK_SPAN
    cursor = await driver.execute(
        f"""update delivery set state = %(state)s, settled_at = %(now)s,
                  reason = case when state = '{D.IN_DOUBT}' then 'in-doubt' else %(reason)s end
           where id >= %(a)s and id < %(b)s and state = any(%(from)s)""",  # noqa: S608
        {
            "state": state.value,
            "from": unsettled_from(state),
            "reason": reason,
            "now": now,
            "a": first,
            "b": first + size,
        },
    )
    return cursor.rowcount

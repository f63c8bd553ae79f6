"""The ledger: one row per delivery, written in bulk, moved only forward.

Every function takes the transaction's connection; those that write on a worker's behalf are
called after `claims.hold` in the same transaction, which fences them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import TRANSITIONS, DeliveryState
from alerting.store.db import raw
from alerting.store.schema import CHUNK_SPAN

#: Deferred without a time of its own, a delivery waits for its citizen's digest and is not open.
_IS_OPEN = "(d.state in ('planned','in_doubt') or d.state = 'deferred' and d.due_at is not null)"

_JUDGED = """
    select d.id, d.citizen_id, d.address_id, d.info_no, d.area_no, d.places, d.state, d.tries,
           d.deferrals, d.due_at, d.attempted_at, d.provider, d.follows,
           a.endpoint, a.keys, a.consent, a.verified,
           coalesce(a.suspended_reason, '') as suspended_reason,
           coalesce(c.language, 'en') as language, coalesce(c.time_zone, '') as time_zone,
           c.quiet_from, c.quiet_to,
           exists (
             select from address twin join delivery told
               on told.citizen_id = twin.citizen_id and told.address_id = twin.id
             where twin.endpoint = a.endpoint and twin.channel = a.channel
               and twin.consent and twin.verified and twin.suspended_reason is null
               and told.alert_id = d.alert_id and told.id < d.id
               and told.state in ('planned','deferred','in_doubt','accepted','delivered')
           ) as already_told
    from delivery d
    left join address a on a.id = d.address_id
    left join citizen c on c.id = d.citizen_id
"""

_OPEN = f"{_JUDGED} where d.id >= %(first)s and d.id < %(end)s and {_IS_OPEN} order by d.id"

_SETTLE = """
    update delivery d set
      state = case when d.state = any(%(movable)s) then r.state else d.state end,
      reason = r.reason, code = r.code, silent = r.silent, due_at = r.due_at,
      deferrals = d.deferrals + (r.state = 'deferred')::int,
      provider = case when r.provider = '' then d.provider else r.provider end,
      provider_ref = case when r.provider_ref = '' then d.provider_ref else r.provider_ref end,
      possible_duplicate = d.possible_duplicate or r.possible_duplicate,
      tries = d.tries + r.tried,
      attempted_at = case when r.tried > 0 then coalesce(r.attempted_at, d.attempted_at)
                          else d.attempted_at end,
      accepted_at = case when r.state in ('accepted','delivered')
                         then coalesce(d.accepted_at, %(now)s) else d.accepted_at end,
      settled_at = case when r.state = any(%(settled)s)
                        then coalesce(d.settled_at, %(now)s) else d.settled_at end
    from unnest(%(id)s::int8[], %(state)s::text[], %(reason)s::text[], %(code)s::text[],
                %(provider_ref)s::text[], %(possible_duplicate)s::bool[], %(tried)s::int2[],
                %(attempted_at)s::timestamptz[], %(silent)s::bool[], %(due_at)s::timestamptz[],
                %(provider)s::text[])
      as r(id, state, reason, code, provider_ref, possible_duplicate, tried, attempted_at, silent,
           due_at, provider)
    where d.id = r.id"""


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """A delivery still to be decided or sent, with what stands about its address right now.

    due_at: when a deferred one is to be decided again. provider: who was last called. follows: the
    delivery by another channel that did not reach the citizen.
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

    @property
    def seq(self) -> int:
        """Its place in the chunk."""
        return self.id % CHUNK_SPAN


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one delivery.

    tried: 1 when the provider was called. silent: it was not to interrupt. due_at: when a deferred
    one is decided again; without it the delivery waits for its citizen's digest.
    """

    delivery_id: int
    state: DeliveryState
    reason: str
    code: str = ""
    provider_ref: str = ""
    possible_duplicate: bool = False
    tried: int = 0
    attempted_at: datetime | None = None
    silent: bool = False
    due_at: datetime | None = None
    provider: str = ""


async def open_of_chunk(
    connection: AsyncConnection, chunk_id: int, size: int
) -> list[OpenDelivery]:
    """The chunk's deliveries that still need a decision or a send, in order."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(OpenDelivery)) as cursor:
        first = chunk_id * CHUNK_SPAN
        await cursor.execute(_OPEN, {"first": first, "end": first + size})
        return await cursor.fetchall()


async def as_judged(
    connection: AsyncConnection, alert_id: UUID, citizen_id: int
) -> dict[int, OpenDelivery]:
    """One citizen's deliveries of one alert as they were put before the throttle, by id."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(OpenDelivery)) as cursor:
        await cursor.execute(
            _JUDGED + " where d.citizen_id = %(citizen)s and d.alert_id = %(alert)s order by d.id",
            {"citizen": citizen_id, "alert": alert_id},
        )
        return {d.id: d for d in await cursor.fetchall()}


async def settle(
    connection: AsyncConnection, settlements: Iterable[Settlement], *, now: datetime
) -> None:
    """Write outcomes and decisions in bulk.

    A row that a receipt has moved on meanwhile keeps its state and gains only the details: states
    move forward. Settling as PLANNED records a refusal that will be tried again.
    """
    rows = list(settlements)
    if not rows:
        return
    driver = await raw(connection)
    columns = {
        "id": [r.delivery_id for r in rows],
        "state": [r.state.value for r in rows],
        "reason": [r.reason for r in rows],
        "code": [r.code for r in rows],
        "provider_ref": [r.provider_ref for r in rows],
        "possible_duplicate": [r.possible_duplicate for r in rows],
        "tried": [r.tried for r in rows],
        "attempted_at": [r.attempted_at for r in rows],
        "silent": [r.silent for r in rows],
        "due_at": [r.due_at for r in rows],
        "provider": [r.provider for r in rows],
    }
    await driver.execute(
        _SETTLE,
        {
            **columns,
            "now": now,
            "movable": [
                DeliveryState.PLANNED.value,
                DeliveryState.DEFERRED.value,
                DeliveryState.IN_DOUBT.value,
            ],
            "settled": [s.value for s in TRANSITIONS if not TRANSITIONS[s]]
            + [DeliveryState.ACCEPTED.value],
        },
    )


async def mark_in_doubt(
    connection: AsyncConnection, chunk_id: int, window: tuple[int, int], *, now: datetime
) -> int:
    """Everything unsettled in a dead worker's window may have been taken; returns how many.

    A try is counted for what was in doubt before and about to be sent once more.
    """
    driver = await raw(connection)
    first = chunk_id * CHUNK_SPAN
    cursor = await driver.execute(
        """update delivery set state = 'in_doubt', reason = 'worker-died', tries = tries + 1,
                  attempted_at = %(now)s
           where id >= %(a)s and id < %(b)s
             and (state = 'planned' or state = 'in_doubt' and possible_duplicate)""",
        {"a": first + window[0], "b": first + window[1], "now": now},
    )
    return cursor.rowcount


async def about_to_repeat(connection: AsyncConnection, delivery_ids: Sequence[int]) -> set[int]:
    """Flag what is in doubt and will be sent once more, before it is; returns those still in doubt.

    Afterwards may be too late: the worker may die, and a receipt of the first try end the doubt.
    """
    driver = await raw(connection)
    cursor = await driver.execute(
        """update delivery set possible_duplicate = true
           where id = any(%s) and state = 'in_doubt' returning id""",
        (list(delivery_ids),),
    )
    return {row[0] for row in await cursor.fetchall()}


async def take_up(connection: AsyncConnection, delivery_ids: Sequence[int]) -> None:
    """Plan what was deferred once more, before it is sent: should the worker die then, it is found
    in doubt like everything else in its window."""
    driver = await raw(connection)
    await driver.execute(
        "update delivery set state = 'planned' where id = any(%s) and state = 'deferred'",
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
        """update delivery set state = %(state)s, settled_at = %(now)s,
                  reason = case when state = 'in_doubt' then 'in-doubt' else %(reason)s end
           where id >= %(a)s and id < %(b)s and (state in ('planned','deferred')
                 or state = 'in_doubt' and %(state)s = 'failed')""",
        {
            "state": state.value,
            "reason": reason,
            "now": now,
            "a": first,
            "b": first + size,
        },
    )
    return cursor.rowcount

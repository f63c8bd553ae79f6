"""Earlier notifications of citizens: the ledger read by citizen instead of by alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.domain.delivery import NOTIFIED
from alerting.store.db import raw
from alerting.store.schema import alert
from alerting.store.states import D

#: A hazard's latest other alerts; more never matter to one decision.
_MOST = 200

#: Of an event with more alerts than these the citizens' own deliveries are read instead.
_LISTED = 300

_EARLIER = f"""
    select d.citizen_id, d.alert_id, min(d.info_no) as info_no, bit_or(d.places) as places,
           bool_or(w.notified) as notified,
           bool_or(w.notified and not (d.state = '{D.IN_DOUBT}' or d.reason = 'in-doubt')) as sure,
           bool_and(d.silent) filter (where w.notified) as silent,
           bool_or(d.state = '{D.DEFERRED}') as waits,
           bool_or(d.state = '{D.PLANNED}') as open,
           bool_or(d.reason = 'partly-ended') as partly,
           min(coalesce(d.accepted_at, d.attempted_at, d.settled_at, d.planned_at)) as at
    from unnest(%(citizens)s::int8[]) as c(id)
    join delivery d on d.citizen_id = c.id {{which}}
    left join digest_item i on i.delivery_id = d.id
    left join delivery carrier on carrier.id = i.digest_id
    cross join lateral (select d.reason = 'digested' or d.state = any(%(notified)s)
                               or d.state = '{D.FAILED}' and d.reason = 'in-doubt'
                               or coalesce(carrier.state = any(%(notified)s), false)) as w(notified)
    group by d.citizen_id, d.alert_id"""  # noqa: S608


#: To look for each citizen's delivery of each of very many alerts costs more than to read all that
#: the citizen has.
_OF_MANY = "join unnest(%(alerts)s::uuid[]) as k(id) on k.id = d.alert_id"

_NOTIFIED = [s.value for s in NOTIFIED]


@dataclass(frozen=True, slots=True)
class Earlier:
    """One earlier alert that concerned a citizen, whatever number of deliveries it made.

    Attributes:
        notified: It reached them or may have, by itself or in a digest.
        sure: Nobody doubts it.
        silent: Without interrupting; None where they were not notified.
        waits: It was held back and may yet be sent.
        open: It was not sent yet, or may be on its way.
        partly: It is an end, sent while another alert of the event went on.
    """

    citizen_id: int
    alert_id: UUID
    info_no: int
    places: int
    notified: bool
    sure: bool
    silent: bool | None
    waits: bool
    open: bool
    partly: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Brief:
    """An alert without its document."""

    id: UUID
    thread_id: UUID
    event_id: UUID
    order_at: datetime
    expires_at: datetime
    state: AlertState
    ends: bool
    ended_by: UUID | None
    submitted_at: datetime


_BRIEF = [alert.c[name] for name in Brief.__slots__]
_FOR_CITIZENS = alert.c.state.not_in([AlertState.RECORDED, AlertState.HELD])


async def of_event(connection: AsyncConnection, event_id: UUID, *, but: UUID) -> list[Brief]:
    """The alerts of an event, except `but` and what was never for citizens."""
    query = select(*_BRIEF).where(alert.c.event_id == event_id, alert.c.id != but, _FOR_CITIZENS)
    return await _briefs(connection, query)


async def of_hazards(
    connection: AsyncConnection,
    hazards: Sequence[str],
    *,
    status: str,
    scope: str,
    not_of: UUID,
    now: datetime,
) -> list[Brief]:
    """The latest alerts of other events than `not_of` that have threads in force for a hazard.

    All of such a thread, so that a danger that was ended is known to be over.
    """
    in_force = select(alert.c.thread_id).where(
        alert.c.hazards.bool_op("&&")(list(hazards)),
        alert.c.event_id != not_of,
        alert.c.status == status,
        alert.c.scope == scope,
        alert.c.expires_at > now,
        alert.c.state.not_in([AlertState.RECORDED, AlertState.HELD, AlertState.CANCELLED]),
    )
    query = (
        select(*_BRIEF)
        .where(alert.c.thread_id.in_(in_force), _FOR_CITIZENS)
        .order_by(alert.c.sent_at.desc())
        .limit(_MOST)
    )
    return await _briefs(connection, query)


async def _briefs(connection: AsyncConnection, query: Select[Any]) -> list[Brief]:
    return [
        Brief(**{**row._mapping, "state": AlertState(row.state)})
        for row in await connection.execute(query)
    ]


async def earlier(
    connection: AsyncConnection, citizen_ids: Sequence[int], alert_ids: Sequence[UUID]
) -> list[Earlier]:
    """The deliveries of these alerts to each citizen, those still planned included."""
    if not citizen_ids or not alert_ids:
        return []
    values = {"citizens": list(citizen_ids), "alerts": list(alert_ids), "notified": _NOTIFIED}
    few = len(alert_ids) <= _LISTED
    which = "and d.alert_id = any(%(alerts)s)" if few else _OF_MANY
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(Earlier)) as cursor:
        await cursor.execute(_EARLIER.format(which=which), values)
        return await cursor.fetchall()

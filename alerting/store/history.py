"""What citizens were told before: the ledger read by citizen instead of by alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.domain.delivery import TOLD
from alerting.store.alerts import StoredAlert, select_alerts
from alerting.store.db import raw
from alerting.store.schema import alert

#: An event's latest alerts and a hazard's latest others; more never matter to one decision.
_MOST = 200

_EARLIER = """
    select d.citizen_id, d.alert_id, min(d.info_no) as info_no, bit_or(d.places) as places,
           bool_or(w.told) as told,
           bool_or(w.told and not (d.state = 'in_doubt' or d.reason = 'in-doubt')) as sure,
           bool_and(d.silent) filter (where w.told) as silent,
           bool_or(d.state = 'deferred') as waits,
           min(coalesce(d.accepted_at, d.attempted_at, d.settled_at, d.planned_at)) as at
    from unnest(%(citizens)s::int8[]) as c(id)
    join delivery d on d.citizen_id = c.id and d.alert_id = any(%(alerts)s)
    left join digest_item i on i.delivery_id = d.id
    left join delivery carrier on carrier.id = i.digest_id
    cross join lateral (select d.reason = 'digested' or d.state = any(%(told)s)
                               or d.state = 'failed' and d.reason = 'in-doubt'
                               or coalesce(carrier.state = any(%(told)s), false)) as w(told)
    group by d.citizen_id, d.alert_id"""


@dataclass(frozen=True, slots=True)
class Earlier:
    """One earlier alert that concerned a citizen, whatever number of deliveries it made.

    told: it reached them or may have, by itself or in a digest. sure: nobody doubts it. silent:
    without interrupting; None where they were not told. waits: it was held back and may yet be
    sent.
    """

    citizen_id: int
    alert_id: UUID
    info_no: int
    places: int
    told: bool
    sure: bool
    silent: bool | None
    waits: bool
    at: datetime


async def of_event(connection: AsyncConnection, event_id: UUID, *, but: UUID) -> list[StoredAlert]:
    """The latest alerts of an event, except `but` and what was never for citizens."""
    return await select_alerts(
        connection,
        alert.c.event_id == event_id,
        alert.c.id != but,
        alert.c.state.not_in([AlertState.RECORDED, AlertState.HELD]),
        limit=_MOST,
    )


async def of_hazards(
    connection: AsyncConnection,
    hazards: Sequence[str],
    *,
    status: str,
    not_of: UUID,
    now: datetime,
) -> list[StoredAlert]:
    """The latest alerts of other events than `not_of` that have threads in force for a hazard.

    All of such a thread, so that a danger that was ended is known to be over.
    """
    in_force = select(alert.c.thread_id).where(
        alert.c.hazards.bool_op("&&")(list(hazards)),
        alert.c.event_id != not_of,
        alert.c.status == status,
        alert.c.expires_at > now,
        alert.c.state.not_in([AlertState.RECORDED, AlertState.HELD, AlertState.CANCELLED]),
    )
    return await select_alerts(
        connection,
        alert.c.thread_id.in_(in_force),
        alert.c.state.not_in([AlertState.RECORDED, AlertState.HELD]),
        limit=_MOST,
    )


async def earlier(
    connection: AsyncConnection, citizen_ids: Sequence[int], alert_ids: Sequence[UUID]
) -> list[Earlier]:
    """What each citizen was told, or was to be told, by these alerts."""
    if not citizen_ids or not alert_ids:
        return []
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(Earlier)) as cursor:
        await cursor.execute(
            _EARLIER,
            {
                "citizens": list(citizen_ids),
                "alerts": list(alert_ids),
                "told": [s.value for s in TOLD],
            },
        )
        return await cursor.fetchall()

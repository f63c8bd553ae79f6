"""How far alerts have come: their states, their audience, and their end."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import TRANSITIONS, AlertState
from alerting.domain.lane import Lane
from alerting.domain.transitions import sources
from alerting.store.schema import LIVE, OPEN, UNFINISHED, alert, outbox


async def set_state(
    connection: AsyncConnection, alert_id: UUID, state: AlertState, **values: Any
) -> bool:
    """Move an alert to `state`; False when its state no longer allows that."""
    query = (
        update(alert)
        .where(alert.c.id == alert_id, alert.c.state.in_(sources(TRANSITIONS, state)))
        .values(state=state.value, **values)
    )
    return (await connection.execute(query)).rowcount == 1


async def others_open(connection: AsyncConnection, submitter: str, lane: Lane, *, but: UUID) -> int:
    """How many alerts of a submitter but this one are being planned or sent in a lane."""
    query = select(func.count()).where(
        alert.c.submitted_by == submitter,
        alert.c.lane == lane.value,
        alert.c.state.in_([AlertState.ACCEPTED.value, AlertState.DELIVERING.value]),
        alert.c.finished_at.is_(None),
        alert.c.id != but,
    )
    return int((await connection.execute(query)).scalar_one())


async def mark_planned(connection: AsyncConnection, alert_id: UUID) -> None:
    """Note that the ledger holds the whole audience."""
    await connection.execute(
        update(alert).where(alert.c.id == alert_id).values(planned_at=func.now())
    )


async def add_audience(connection: AsyncConnection, alert_id: UUID, citizens: int) -> None:
    """Count citizens found in the alert's area."""
    await connection.execute(
        update(alert).where(alert.c.id == alert_id).values(audience=alert.c.audience + citizens)
    )


async def set_audience(connection: AsyncConnection, alert_id: UUID, citizens: int) -> None:
    """Correct how many citizens were found so far."""
    await connection.execute(update(alert).where(alert.c.id == alert_id).values(audience=citizens))


async def complete_if_done(connection: AsyncConnection, alert_id: UUID) -> bool:
    """Mark an alert finished once it is planned and none of its work is open.

    The alert's row is locked first, so that of two chunks ending together the second sees the
    first. An ended alert keeps its state and gets its time.
    """
    # Not the stronger FOR UPDATE: writing an outbox row twice in one transaction holds a key share
    # of its alert, so that two chunks ending together would each wait for the other.
    await connection.execute(
        select(alert.c.id).where(alert.c.id == alert_id).with_for_update(key_share=True)
    )
    query = (
        update(alert)
        .where(alert.c.id == alert_id, alert.c.finished_at.is_(None), ~_open_work().exists())
        .values(finished_at=func.now())
        .returning(alert.c.state)
    )
    state = (await connection.execute(query)).scalar()
    if state in (AlertState.ACCEPTED, AlertState.DELIVERING):
        await set_state(connection, alert_id, AlertState.COMPLETED)
    return state is not None


async def unfinished(connection: AsyncConnection, *, limit: int) -> list[UUID]:
    """Alerts whose work is all done but whose end was not written, because a worker died just then.

    Also those that ended before any work was made for them.
    """
    query = (
        select(alert.c.id)
        .where(
            text(UNFINISHED),
            alert.c.state.not_in([AlertState.HELD, AlertState.COMPLETED]),
            ~_open_work().exists(),
        )
        .order_by(alert.c.id)
        .limit(limit)
    )
    return [row.id for row in await connection.execute(query)]


def _open_work() -> Select[Any]:
    """The open work of `alert`, including chunks that are still to be revoked."""
    of_alert = select(outbox.c.alert_id).where(text(OPEN)).subquery()
    return select(of_alert.c.alert_id).where(of_alert.c.alert_id == alert.c.id)


async def expire(connection: AsyncConnection, *, now: datetime, limit: int) -> list[UUID]:
    """Expire live alerts whose time has run out before everybody was notified; returns their ids.

    An alert that is locked is left for the next call.
    """
    over = (
        select(alert.c.id)
        .where(alert.c.expires_at <= now, text(LIVE))
        .order_by(alert.c.expires_at)
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
    )
    query = (
        update(alert)
        .where(alert.c.id.in_(over))
        .values(
            state=AlertState.EXPIRED.value,
            state_reason=case(
                (
                    alert.c.state == AlertState.HELD.value,
                    "its time ran out while it waited for a second person",
                ),
                else_="its time ran out",
            ),
        )
        .returning(alert.c.id)
    )
    return [row.id for row in await connection.execute(query)]

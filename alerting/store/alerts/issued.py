"""How many alerts somebody has issued, for one sender and in all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.domain.principal import Principal
from alerting.store.schema import LIVE, alert

_GOES = (AlertState.ACCEPTED, AlertState.DELIVERING, AlertState.COMPLETED)


@dataclass(frozen=True, slots=True)
class Issued:
    """Numbers of alerts that somebody submitted: for one sender, and for all senders."""

    of_sender: int
    in_all: int


async def issued(
    connection: AsyncConnection,
    principal: Principal,
    sender: str,
    *,
    since: datetime,
    until: datetime,
) -> Issued:
    """Count the Actual alerts of a person, by any of their keys, or of a machine that went out.

    Held and recorded alerts, and those that ended before anybody was notified, do not count.
    """
    query = select(func.count().filter(alert.c.sender == sender), func.count()).where(
        _of(principal),
        alert.c.status == "Actual",
        alert.c.submitted_at >= since,
        alert.c.submitted_at < until,
        or_(alert.c.planned_at.is_not(None), alert.c.state.in_(_GOES)),
    )
    of_sender, in_all = (await connection.execute(query)).one()
    return Issued(of_sender, in_all)


async def waiting(connection: AsyncConnection, principal: Principal) -> int:
    """The number of held alerts of a person, by any of their keys, or of a machine."""
    query = select(func.count()).where(
        _of(principal),
        # The first is what the index of live alerts has.
        text(LIVE),
        alert.c.state == AlertState.HELD,
    )
    return int((await connection.execute(query)).scalar_one())


def _of(principal: Principal) -> ColumnElement[bool]:
    if principal.person_id is not None:
        return alert.c.submitted_person == principal.person_id
    return alert.c.submitted_person.is_(None) & (alert.c.submitted_by == principal.actor)

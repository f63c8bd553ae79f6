"""Issued: how many alerts somebody has sent, of one sender and in all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.domain.principal import Principal
from alerting.store.schema import alert

_GOES = (AlertState.ACCEPTED, AlertState.DELIVERING, AlertState.COMPLETED)


@dataclass(frozen=True, slots=True)
class Issued:
    """Alerts that somebody submitted: under one sender's name, and under any."""

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
    """How many Actual alerts of a person, by whatever key, or of a machine were let go.

    What is held, was recorded, or ended before anybody was told of it does not count.
    """
    if principal.person_id is not None:
        theirs = alert.c.submitted_person == principal.person_id
    else:
        theirs = alert.c.submitted_person.is_(None) & (alert.c.submitted_by == principal.actor)
    query = select(func.count().filter(alert.c.sender == sender), func.count()).where(
        theirs,
        alert.c.status == "Actual",
        alert.c.submitted_at >= since,
        alert.c.submitted_at < until,
        or_(alert.c.planned_at.is_not(None), alert.c.state.in_(_GOES)),
    )
    of_sender, in_all = (await connection.execute(query)).one()
    return Issued(of_sender, in_all)

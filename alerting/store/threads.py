"""Threads: the alerts linked by references, and how a newer one ends an older."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Reference
from alerting.domain.alert_state import ENDED, AlertState
from alerting.store.alerts import StoredAlert, select_alerts
from alerting.store.schema import alert, alert_reference


@dataclass(frozen=True, slots=True)
class Linked:
    """A thread that an alert refers to, and its event."""

    thread_id: UUID
    event_id: UUID


async def linked(
    connection: AsyncConnection, references: Sequence[Reference], *, triple: Reference
) -> list[Linked]:
    """The threads tied to an alert by references, its own or theirs; oldest first.

    An alert may arrive after the update that refers to it.
    """
    named = tuple_(alert.c.sender, alert.c.identifier, alert.c.sent_at)
    refers_to = tuple_(
        alert_reference.c.sender, alert_reference.c.identifier, alert_reference.c.sent_at
    )
    names = [(r.sender, r.identifier, r.sent) for r in references]
    ours = (triple.sender, triple.identifier, triple.sent)
    # Two updates of an alert that has not come yet belong together as well.
    later = select(alert_reference.c.alert_id).where(refers_to.in_([ours, *names]))
    tied = [alert.c.id.in_(later)]
    if names:
        tied.append(named.in_(names))
    query = (
        select(alert.c.thread_id, alert.c.event_id, func.min(alert.c.sent_at).label("first"))
        .where(or_(*tied))
        .group_by(alert.c.thread_id, alert.c.event_id)
        .order_by("first")
    )
    return [Linked(row.thread_id, row.event_id) for row in await connection.execute(query)]


async def newer(
    connection: AsyncConnection, thread_id: UUID, than: datetime, *, limit: int = 50
) -> list[StoredAlert]:
    """The versions of a thread that were sent after `than` and are for citizens."""
    return await select_alerts(
        connection,
        alert.c.thread_id == thread_id,
        alert.c.sent_at > than,
        alert.c.state.not_in([AlertState.RECORDED, AlertState.HELD]),
        limit=limit,
    )


async def live(
    connection: AsyncConnection, thread_ids: Sequence[UUID], *, before: datetime
) -> list[StoredAlert]:
    """The versions of these threads sent before `before` that have not ended."""
    return await select_alerts(
        connection,
        alert.c.thread_id.in_(thread_ids),
        alert.c.sent_at < before,
        alert.c.state.not_in([s.value for s in ENDED]),
        limit=1000,
    )


async def standing(connection: AsyncConnection, thread_id: UUID) -> list[StoredAlert]:
    """The versions of a thread that a Cancel would end, newest first; held ones too.

    Not those whose deliveries were pruned: whom they reached is not known any more.
    """
    return await select_alerts(
        connection,
        alert.c.thread_id == thread_id,
        alert.c.msg_type.in_(["Alert", "Update"]),
        alert.c.pruned_at.is_(None),
        alert.c.state.not_in([s.value for s in ENDED]),
        limit=1000,
    )


async def end(
    connection: AsyncConnection, alert_ids: Sequence[UUID], state: AlertState, reason: str
) -> None:
    """Move live alerts to `state`; what has ended stays as it is."""
    if alert_ids:
        await connection.execute(
            update(alert)
            .where(alert.c.id.in_(alert_ids), alert.c.state.not_in([s.value for s in ENDED]))
            .values(state=state.value, state_reason=reason)
        )


async def issued(
    connection: AsyncConnection, sender: str, *, since: datetime, until: datetime
) -> int:
    """How many Actual alerts of a sender were accepted in a span of time."""
    query = select(func.count()).where(
        alert.c.sender == sender,
        alert.c.status == "Actual",
        alert.c.submitted_at >= since,
        alert.c.submitted_at < until,
    )
    return int(await connection.scalar(query) or 0)

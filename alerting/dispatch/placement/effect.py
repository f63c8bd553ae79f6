"""Effect: write an accepted alert's plan, and end the alerts it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.dispatch.placement.database import DatabaseAlerts
from alerting.dispatch.placement.place import Ends, ends
from alerting.domain.alert import MsgType
from alerting.domain.alert_state import AlertState
from alerting.store import audit_log
from alerting.store.admin import stored_alarms
from alerting.store.alerts import signatures, stored_events, threads
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.work import halt, outbox
from alerting.throttle.events.placing import Placement
from alerting.throttle.events.same import Signature
from alerting.throttle.events.stored_signature import VERSION, to_bytes


async def start(connection: AsyncConnection, stored: StoredAlert) -> int:
    """Write the alert's plan and end the alerts it ends or replaces; returns the plan's id."""
    plan_id = await outbox.add_plan(connection, stored.id, stored.lane, first=stored.ends)
    ended = (await ends_of(connection, stored)).ended
    # Last, because workers wait from here to the end of the transaction.
    await end(connection, stored, [v.id for v in ended])
    return plan_id


async def record(
    connection: AsyncConnection,
    alert_id: UUID,
    placed: Placement[UUID],
    event_id: UUID,
    signature: Signature,
) -> None:
    """Store the result of placing an alert: its signature, the events merged with its own, the
    question for a coordinator."""
    await signatures.keep(connection, {alert_id: to_bytes(signature)}, version=VERSION)
    for other in placed.merged:
        await stored_events.merge(connection, other, into=event_id)
    if placed.question is not None:
        asked, likeness = placed.question
        await stored_events.ask(
            connection, alert_id, asked, score=likeness.score, sentence=likeness.sentence
        )


async def ends_of(connection: AsyncConnection, stored: StoredAlert) -> Ends[UUID]:
    """As `ends`, for a stored alert."""
    return await ends(
        DatabaseAlerts(connection),
        stored.alert,
        stored.thread_id,
        stored.order_at,
        but=stored.id,
    )


async def end(connection: AsyncConnection, by: StoredAlert, alert_ids: Sequence[UUID]) -> None:
    """End these alerts: nothing more of them is sent but what is in an open window. Their alarms
    are closed."""
    state = AlertState.CANCELLED if by.msg_type == MsgType.CANCEL else AlertState.SUPERSEDED
    await halt.stop(connection, alert_ids)
    await threads.end(connection, alert_ids, state, f"by {by.id}", by=by.id)
    await stored_alarms.close_of(connection, alert_ids, by=by.submitted_by)
    actor = by.approved_by or by.submitted_by
    for alert_id in alert_ids:
        detail = {"by": str(by.id), "state": state.value}
        await audit_log.record(connection, actor, "alert.end", str(alert_id), detail)

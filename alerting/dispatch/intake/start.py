"""Start: let an accepted alert take effect."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.domain.alert import Alert, MsgType
from alerting.domain.alert_state import AlertState
from alerting.errors import NotFound
from alerting.store import alerts, outbox, reached, revoke, threads
from alerting.store.alerts import StoredAlert
from alerting.throttle.cover import covers


async def start(connection: AsyncConnection, alert_id: UUID) -> int:
    """End what the alert replaces or cancels and write its plan; returns the plan's id.

    An update ends an earlier version only where it speaks for everyone that one concerned. Where
    it leaves some of them out the earlier version still reaches those, and whoever both concern
    hears the newer one.
    """
    stored = await alerts.get(connection, alert_id)
    if stored is None:
        raise NotFound(f"There is no alert {alert_id}.")
    alert = from_json(stored.document)
    ended, state = await _ended(connection, stored, alert)
    plan_id = await outbox.add_plan(connection, alert_id, stored.lane)
    # Last, because workers wait from here to the end of the transaction.
    calling = await revoke.stop(connection, ended)
    await threads.end(connection, ended, state, f"by {alert_id}")
    if calling and state is AlertState.CANCELLED:
        await reached.expect_late(connection, alert_id, stored.lane, until=stored.expires_at)
    return plan_id


async def _ended(
    connection: AsyncConnection, stored: StoredAlert, alert: Alert
) -> tuple[list[UUID], AlertState]:
    """What the alert ends, and as what."""
    if alert.msg_type not in {MsgType.UPDATE, MsgType.CANCEL}:
        return [], AlertState.SUPERSEDED
    tied = {stored.thread_id}
    tied |= {
        one.thread_id
        for one in await threads.linked(connection, alert.references, triple=alert.triple)
    }
    older = await threads.live(connection, list(tied), before=alert.sent)
    if alert.msg_type is MsgType.CANCEL:
        return [o.id for o in older], AlertState.CANCELLED
    return [o.id for o in older if covers(alert, from_json(o.document))], AlertState.SUPERSEDED

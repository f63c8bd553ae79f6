"""Effect: let an accepted alert take effect, and end what it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import MsgType
from alerting.domain.alert_state import AlertState
from alerting.store import alarms, audit, call_back, outbox, threads
from alerting.store.alerts import StoredAlert
from alerting.throttle.cover import speaks_for


async def start(connection: AsyncConnection, stored: StoredAlert) -> int:
    """End what the alert replaces or ends and write its plan; returns the plan's id.

    A version ends an earlier one only where it speaks for everyone that one concerned. Where it
    leaves some of them out the earlier version still stands for those, and whoever both concern
    hears the newer one.
    """
    alert = stored.alert
    plan_id = await outbox.add_plan(connection, stored.id, stored.lane, first=alert.ends)
    ended = [v.id for v in await older(connection, stored) if speaks_for(alert, v.alert)]
    # Last, because workers wait from here to the end of the transaction.
    await end(connection, stored, ended)
    return plan_id


async def older(connection: AsyncConnection, stored: StoredAlert) -> list[StoredAlert]:
    """The versions before an alert that it may end.

    Only an end puts an end to an end: an update that leaves people out must not keep from them
    that their danger is over.
    """
    if stored.msg_type not in (MsgType.UPDATE, MsgType.CANCEL) and not stored.ends:
        return []
    found = await threads.live(connection, stored.thread_id, before=stored.order_at, but=stored.id)
    return [v for v in found if not v.ends or (stored.ends and v.finished_at is None)]


async def end(connection: AsyncConnection, by: StoredAlert, alert_ids: Sequence[UUID]) -> None:
    """Stop these alerts for good: nothing more of them is sent but what is in an open window. What
    somebody was to do about them is done."""
    state = AlertState.CANCELLED if by.msg_type == MsgType.CANCEL else AlertState.SUPERSEDED
    await call_back.stop(connection, alert_ids)
    await threads.end(connection, alert_ids, state, f"by {by.id}", by=by.id)
    await alarms.close_of(connection, alert_ids, by=by.submitted_by)
    actor = by.approved_by or by.submitted_by
    for alert_id in alert_ids:
        detail = {"by": str(by.id), "state": state.value}
        await audit.record(connection, actor, "alert.end", str(alert_id), detail)

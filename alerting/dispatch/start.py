"""Start: let an accepted alert take effect."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.domain.alert import MsgType
from alerting.domain.alert_state import AlertState
from alerting.errors import NotFound
from alerting.store import alerts, outbox, threads
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
    if alert.msg_type in {MsgType.UPDATE, MsgType.CANCEL}:
        tied = {stored.thread_id}
        tied |= {
            one.thread_id
            for one in await threads.linked(connection, alert.references, triple=alert.triple)
        }
        older = await threads.live(connection, list(tied), before=alert.sent)
        if alert.msg_type is MsgType.CANCEL:
            ended, state = [o.id for o in older], AlertState.CANCELLED
        else:
            ended = [o.id for o in older if covers(alert, from_json(o.document))]
            state = AlertState.SUPERSEDED
        await threads.end(connection, ended, state, f"by {alert_id}")
    return await outbox.add_plan(connection, alert_id, stored.lane)

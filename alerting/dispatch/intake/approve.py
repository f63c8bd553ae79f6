"""Approve: a second person lets a held alert go. Nobody approves their own (invariant 10)."""

from __future__ import annotations

from uuid import UUID

from alerting.dispatch.broker import Doorbell
from alerting.dispatch.intake.start import start
from alerting.dispatch.plan import ring
from alerting.domain.alert_state import AlertState
from alerting.errors import Conflict, NotAllowed, NotFound
from alerting.store import alerts, audit
from alerting.store.db import Database


class OwnAlert(NotAllowed):
    """Whoever submitted an alert wants to approve it."""

    http_status = 403


async def approve(db: Database, doorbell: Doorbell, alert_id: UUID, *, actor: str) -> bool:
    """Let a held alert go; False when this person had let it go before.

    Raises NotFound, OwnAlert for whoever submitted it, Conflict when it is not held.
    """
    async with db.begin() as connection:
        stored = await alerts.get(connection, alert_id, lock=True)
        if stored is None:
            raise NotFound(f"There is no alert {alert_id}.")
        if stored.approved_by == actor:
            return False
        if stored.submitted_by == actor:
            raise OwnAlert(
                "Nobody approves their own alert.",
                remedy="Let another coordinator approve it, by their own account or key.",
            )
        if stored.state is not AlertState.HELD:
            raise Conflict(f"The alert does not wait for approval: it is {stored.state}.")
        await alerts.set_state(
            connection, alert_id, AlertState.ACCEPTED, state_reason="", approved_by=actor
        )
        plan_id = await start(connection, alert_id)
        await audit.record(connection, actor, "alert.approve", str(alert_id))
    await ring(db, doorbell, stored.lane, [plan_id])
    return True

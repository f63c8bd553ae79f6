"""Approve: a second person approves a held alert. Nobody approves their own (invariant 10)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.clock import Clock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.evaluation import policies
from alerting.dispatch.placement.database import DatabaseAlerts
from alerting.dispatch.placement.effect import record, start
from alerting.dispatch.placement.place import place, too_late
from alerting.domain.alert_state import AlertState
from alerting.domain.authority import authorise_approval
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.errors import RECORDED, Conflict, Forbidden, NotFound
from alerting.store import audit_log
from alerting.store.admin import stored_alarms, stored_people
from alerting.store.alerts import alert_progress, stored_alerts, threads
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.db import Database


class OwnAlert(Forbidden):
    """The principal has, or may have, submitted the alert that it tries to approve."""


async def approve(
    db: Database, notifier: WorkNotifier, alert_id: UUID, *, principal: Principal, clock: Clock
) -> bool:
    """Approve a held alert; returns False when this person had approved it before.

    Which alerts it ends or replaces is decided again, by their present state.

    The second person is another person, not another key or account: not the submitter, not anyone
    who has seen the key it was submitted with, and not anyone using a key that its submitter has
    seen.

    Raises:
        NotFound: When there is no such alert.
        Forbidden: For a principal that may not approve it.
        OwnAlert: For a principal that may have submitted it.
        Conflict: When it is not held.
    """
    try:
        plan_id, lane = await _approve(db, alert_id, principal, clock)
    except (Forbidden, Conflict) as e:
        async with db.begin() as connection:
            detail = {"why": e.detail}
            await audit_log.record(
                connection, principal.actor, "alert.approve-refused", str(alert_id), detail
            )
        e.add_note(RECORDED)
        raise
    if plan_id is not None and lane is not None:
        notifier.notify(lane)
    return lane is not None


async def _approve(
    db: Database, alert_id: UUID, principal: Principal, clock: Clock
) -> tuple[int | None, Lane | None]:
    """The plan that was written and its lane; None for both when it had been approved before."""
    principal.require("approve")
    async with db.begin() as connection:
        stored = await stored_alerts.get(connection, alert_id, lock=True)
        if stored is None:
            raise NotFound(f"There is no alert {alert_id}.")
        authorise_approval(principal, stored.alert)
        await _still_there(connection, principal)
        if _approved_by(stored, principal):
            return None, None
        if principal.may_be(stored.submitter):
            raise OwnAlert(
                "Nobody approves their own alert.",
                remedy="Let another coordinator approve it, with their own account or a key that "
                "its submitter has not made.",
            )
        if stored.state is not AlertState.HELD:
            raise Conflict(f"The alert does not wait for approval: it is {stored.state}.")
        plan_id = await _release(connection, stored, principal, now=clock.now())
        await audit_log.record(connection, principal.actor, "alert.approve", str(alert_id))
    return plan_id, stored.lane


async def _release(
    connection: AsyncConnection, stored: StoredAlert, principal: Principal, *, now: datetime
) -> int | None:
    """Put a held alert in force, approved by `principal`; returns the id of its plan.

    Its place in its thread is decided again. Returns None when newer versions have replaced it.
    """
    earlier, policy = DatabaseAlerts(connection), (await policies.live(connection)).policy
    found = await place(earlier, stored.alert, policy.same_event, principal, now=now, approved=True)
    values: dict[str, Any] = {
        "approved_by": principal.actor,
        "approved_person": principal.person_id,
        "state_reason": "",
        "end_any": True,
    }
    if found.joined:
        values |= {"thread_id": found.thread_id, "event_id": found.event_id}
        values["order_at"] = found.order_at
        await threads.join(connection, found.joined, into=found.thread_id)
        await record(connection, stored.id, found.placement, found.event_id, found.signature)
    await stored_alarms.close(connection, stored_alarms.HELD, str(stored.id), by=principal.actor)
    thread_id = values.get("thread_id", stored.thread_id)
    if await too_late(earlier, stored.alert, thread_id, found.order_at):
        values["state_reason"] = "a newer version of its thread was here first"
        await alert_progress.set_state(connection, stored.id, AlertState.SUPERSEDED, **values)
        return None
    await alert_progress.set_state(connection, stored.id, AlertState.ACCEPTED, **values)
    return await start(connection, stored.but(state=AlertState.ACCEPTED, **values))


async def _still_there(connection: AsyncConnection, principal: Principal) -> None:
    """Raise Forbidden when the person's account was ended after authentication."""
    if principal.person_id is None:
        return
    found = await stored_people.get(connection, principal.person_id)
    if found is None or found.ended_at is not None:
        raise Forbidden(f"{principal.actor} may no longer act here.")


def _approved_by(stored: StoredAlert, principal: Principal) -> bool:
    if stored.approved_person is not None:
        return stored.approved_person == principal.person_id
    return stored.approved_by == principal.actor

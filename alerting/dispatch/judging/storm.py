"""Storm: reads from the store what the storm brake needs to know of a sender and an audience.

A principal who set the live policy is also checked by the latest one that somebody else set: nobody
can release their own alert by loosening the policy first.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import audience
from alerting.dispatch.judging import policies
from alerting.domain.alert import Alert
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.errors import WorkFailed
from alerting.store.issued import issued, waiting
from alerting.throttle.brake import hold, may_wait
from alerting.throttle.policy.parse import Policy

#: The number of alerts of one person or machine that may be held at a time.
_MOST_HELD = 20


async def too_many(
    connection: AsyncConnection, alert: Alert, lane: Lane, principal: Principal, *, now: datetime
) -> str | None:
    """Why an alert must wait because of the number of alerts this principal issues; None when it
    need not."""
    for policy in await policies.braking(connection, principal):
        reason = await _too_many(connection, alert, lane, principal, policy, now)
        if reason is not None:
            return reason
    return None


async def too_wide(
    connection: AsyncConnection, alert: Alert, lane: Lane, principal: Principal
) -> str | None:
    """Why an alert must wait because of the size of its audience; None when it need not."""
    judged_by = await policies.braking(connection, principal)
    limits = [p.storm.audience_max for p in judged_by if may_wait(alert, lane, principal, p)]
    # Counting is expensive; it is skipped for alerts that no audience size would hold.
    if not limits or not alert.for_public:
        return None
    found = await audience.count(connection, alert, unless_below=min(limits))
    for policy in judged_by:
        reason = hold(alert, principal=principal, audience=found, policy=policy, lane=lane)
        if reason is not None:
            return reason
    return None


class TooManyHeld(WorkFailed):
    """One submitter has too many held alerts to add another."""

    http_status = 429
    title = "Too many held alerts"


async def refuse_held(connection: AsyncConnection, principal: Principal) -> None:
    """Raise TooManyHeld when no further alert of this principal may be held.

    A second person who is asked to review hundreds reviews none.
    """
    if await waiting(connection, principal) >= _MOST_HELD:
        raise TooManyHeld(
            f"This alert needs a second person, and {_MOST_HELD} alerts of {principal.actor} "
            "already wait for one.",
            remedy="Let somebody approve or cancel those first (`alerting list --state held`).",
        )


async def _too_many(
    connection: AsyncConnection,
    alert: Alert,
    lane: Lane,
    principal: Principal,
    policy: Policy,
    now: datetime,
) -> str | None:
    if not may_wait(alert, lane, principal, policy):
        return None
    storm, sender = policy.storm, alert.sender
    window_at = now - timedelta(seconds=storm.window_s)
    recent = await issued(connection, principal, sender, since=window_at, until=now)
    if recent.in_all < storm.at_least:
        return None
    since = now - timedelta(seconds=storm.history_s)
    before = await issued(connection, principal, sender, since=since, until=window_at)
    windows = max(1.0, (storm.history_s - storm.window_s) / storm.window_s)
    return hold(
        alert,
        principal=principal,
        recent=recent.of_sender,
        usual_per_window=before.of_sender / windows,
        recent_by_key=recent.in_all,
        usual_by_key=before.in_all / windows,
        policy=policy,
        lane=lane,
    )

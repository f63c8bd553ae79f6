"""Storm: what the storm brake needs to know of a sender and an audience.

Live intake asks the database for it, a replay its memory. A principal who set the live policy is
also checked by the latest one that somebody else set: nobody can release their own alert by
loosening the policy first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Alert
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.errors import WorkFailed
from alerting.store.alerts.issued import Issued, waiting
from alerting.throttle.brake import hold, may_wait
from alerting.throttle.policy.parse import Policy

#: The number of alerts of one person or machine that may be held at a time.
_MOST_HELD = 20


class Counted(Protocol):
    """Who counts the alerts that were let go."""

    async def issued(
        self, principal: Principal, sender: str, *, since: datetime, until: datetime
    ) -> Issued:
        """How many Actual alerts of a principal were let go; `until` is not included."""


class People(Protocol):
    """Who counts the citizens of areas."""

    async def count(self, alert: Alert, *, unless_below: int) -> int:
        """About how many citizens an alert's areas hold; any smaller number where no more than
        `unless_below`."""


async def too_many(
    counted: Counted,
    alert: Alert,
    lane: Lane,
    principal: Principal,
    policies: Sequence[Policy],
    *,
    now: datetime,
) -> str | None:
    """Why an alert must wait because of the number of alerts this principal issues; None when it
    need not."""
    for policy in policies:
        reason = await _too_many(counted, alert, lane, principal, policy, now)
        if reason is not None:
            return reason
    return None


async def too_wide(
    people: People, alert: Alert, lane: Lane, principal: Principal, policies: Sequence[Policy]
) -> str | None:
    """Why an alert must wait because of the size of its audience; None when it need not."""
    limits = [p.storm.audience_max for p in policies if may_wait(alert, lane, principal, p)]
    # Counting is expensive; it is skipped for alerts that no audience size would hold.
    if not limits or not alert.for_public:
        return None
    found = await people.count(alert, unless_below=min(limits))
    for policy in policies:
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
    counted: Counted,
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
    recent = await counted.issued(principal, sender, since=window_at, until=now)
    if recent.in_all < storm.at_least:
        return None
    since = now - timedelta(seconds=storm.history_s)
    before = await counted.issued(principal, sender, since=since, until=window_at)
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

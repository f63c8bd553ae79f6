"""Storm: what the brake has to know of a sender and an audience, asked of the store."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Alert
from alerting.domain.lane import Lane
from alerting.store import threads
from alerting.throttle.brake import hold
from alerting.throttle.policy.parse import Policy


async def too_many(
    connection: AsyncConnection, alert: Alert, lane: Lane, policy: Policy, *, now: datetime
) -> str | None:
    """Why an alert must wait because of how many its sender issues; None where it need not."""
    storm = policy.storm
    window = timedelta(seconds=storm.window_s)
    recent = await threads.issued(connection, alert.sender, since=now - window, until=now)
    if recent < storm.at_least:
        return None
    since = now - timedelta(seconds=storm.history_s)
    before = await threads.issued(connection, alert.sender, since=since, until=now - window)
    windows = max(1.0, (storm.history_s - storm.window_s) / storm.window_s)
    return hold(
        alert,
        recent=recent,
        usual_per_window=before / windows,
        audience=None,
        policy=policy,
        lane=lane,
    )


def too_wide(alert: Alert, lane: Lane, policy: Policy, *, audience: int) -> str | None:
    """Why an alert must wait because of how many it would reach; None where it need not."""
    return hold(alert, recent=0, usual_per_window=0.0, audience=audience, policy=policy, lane=lane)

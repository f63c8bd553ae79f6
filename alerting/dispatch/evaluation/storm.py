"""Storm: counts alerts and people before an alert takes effect, and applies the storm brake.

Live intake asks the database for it, a replay its memory. A principal who set the live policy is
also checked by the latest one that somebody else set: nobody can release their own alert by
loosening the policy first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.dispatch.evaluation.look import Looked, look
from alerting.dispatch.placement.earlier import EarlierAlerts, Register
from alerting.domain.alert import Alert
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.errors import WorkFailed
from alerting.store.alerts.issued import waiting
from alerting.throttle.brake import hold
from alerting.throttle.policy.model import Policy, Storm

#: The number of alerts of one person or machine that may be held at a time.
_MOST_HELD = 20


async def counted(
    earlier: EarlierAlerts[Any],
    register: Register,
    alert: Alert,
    lane: Lane,
    principal: Principal,
    policies: Sequence[Policy],
    *,
    now: datetime,
) -> Looked:
    """What counting says of a new alert: whether its areas are where its sender meant them, how
    many alerts this principal issues, and how many people it would reach.

    Args:
        policies: Those of the live policies by which it may wait (`may_wait`).
    """
    looked = await look(register, alert, discreet=not principal.may("read"))
    if looked.held or not policies:
        return looked
    for policy in policies:
        issued = await _issued(earlier, alert.sender, principal, policy.storm, now)
        if issued is not None and (
            reason := hold(alert, principal=principal, policy=policy, lane=lane, **issued)
        ):
            return replace(looked, held=reason)
    # Counting people is expensive; it is skipped for alerts that no audience size would hold.
    most = min(p.storm.audience_max for p in policies)
    people = await register.count(alert, unless_below=most) if alert.for_public else 0
    for policy in policies if people > most else ():
        if reason := hold(alert, principal=principal, audience=people, policy=policy, lane=lane):
            return replace(looked, held=reason)
    return looked


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


class _Issued(TypedDict):
    """What `hold` takes of the alerts that were issued before."""

    recent: int
    usual_per_window: float
    recent_by_key: int
    usual_by_key: float


async def _issued(
    earlier: EarlierAlerts[Any], sender: str, principal: Principal, storm: Storm, now: datetime
) -> _Issued | None:
    """None where they are too few to hold anything."""
    window_at = now - timedelta(seconds=storm.window_s)
    recent = await earlier.issued(principal, sender, since=window_at, until=now)
    if recent.in_all < storm.at_least:
        return None
    since = now - timedelta(seconds=storm.history_s)
    before = await earlier.issued(principal, sender, since=since, until=window_at)
    windows = max(1.0, (storm.history_s - storm.window_s) / storm.window_s)
    return {
        "recent": recent.of_sender,
        "usual_per_window": before.of_sender / windows,
        "recent_by_key": recent.in_all,
        "usual_by_key": before.in_all / windows,
    }

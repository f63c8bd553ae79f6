"""Screening: whether a new alert is sent, held for a second person, or only recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from alerting.dispatch.evaluation import storm
from alerting.dispatch.placement.earlier import EarlierAlerts, Register
from alerting.dispatch.placement.place import Place, too_late
from alerting.domain.alert import MsgType, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.principal import Principal
from alerting.throttle.events.placing import Id
from alerting.throttle.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Screened:
    """A new alert's first state, and why.

    Attributes:
        notes: What its sender should know.
    """

    state: AlertState
    reason: str = ""
    notes: tuple[str, ...] = ()


async def screen(
    earlier: EarlierAlerts[Id],
    register: Register,
    found: Place[Id],
    principal: Principal,
    policies: Sequence[Policy],
    *,
    test: str,
    now: datetime,
) -> Screened:
    """Decide the first state of an alert that has its place.

    Nothing is ended before: an alert that a second person may refuse must have ended nothing.

    Args:
        policies: Those by which it may have to wait for a second person (`may_wait`).
        test: Its words that say that it is a test (`called_a_test`).
    """
    alert = found.alert
    counted = await storm.counted(
        earlier, register, alert, found.lane, principal, policies, now=now
    )
    notes = counted.notes
    if alert.msg_type in {MsgType.ACK, MsgType.ERROR}:
        return Screened(AlertState.RECORDED, f"{alert.msg_type} is kept, not sent", notes)
    if alert.status in {Status.SYSTEM, Status.DRAFT}:
        return Screened(AlertState.RECORDED, f"status {alert.status} is never sent", notes)
    if found.joined and await too_late(earlier, alert, found.thread_id, found.order_at):
        why = "a newer version of its thread was here first"
        return Screened(AlertState.SUPERSEDED, why, notes)
    # An end never waits because of what it says of itself.
    says = f"It has status Actual and says that it is a test ({test})." if test else ""
    held = found.held or ("" if alert.ends else says) or counted.held
    if held:
        return Screened(AlertState.HELD, held, notes)
    return Screened(AlertState.ACCEPTED, "", notes)

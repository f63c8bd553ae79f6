"""Screening: whether a new alert goes out at once, waits for a second person, or is only kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from alerting.cap import called_a_test
from alerting.dispatch.evaluation import storm
from alerting.dispatch.intake.look import look
from alerting.dispatch.placement.earlier import EarlierAlerts, Register
from alerting.dispatch.placement.place import Place, too_late
from alerting.domain.alert import MsgType, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import lane_of
from alerting.domain.principal import Principal
from alerting.throttle.events.placing import Id
from alerting.throttle.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Screened:
    """What becomes of a new alert at first, and why; notes: what its sender should know."""

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
    now: datetime,
) -> Screened:
    """Decide what becomes of an alert that has its place.

    policies: those by which this principal's alerts are held. Nothing is ended before: what a
    second person may refuse must have stopped nothing.
    """
    alert, lane = found.alert, lane_of(found.alert)
    looked = await look(register, alert, discreet=not principal.may("read"))
    notes = looked.notes
    if alert.msg_type in {MsgType.ACK, MsgType.ERROR}:
        return Screened(AlertState.RECORDED, f"{alert.msg_type} is kept, not sent", notes)
    if alert.status in {Status.SYSTEM, Status.DRAFT}:
        return Screened(AlertState.RECORDED, f"status {alert.status} is never sent", notes)
    if await too_late(earlier, alert, found.thread_id, found.order_at):
        why = "a newer version of its thread was here first"
        return Screened(AlertState.SUPERSEDED, why, notes)
    # An end never waits because of what it says of itself.
    test = "" if alert.ends else called_a_test(alert)
    held = (
        found.held
        or (test and f"It has status Actual and says that it is a test ({test}).")
        or looked.held
        or await storm.too_many(earlier, alert, lane, principal, policies, now=now)
        or await storm.too_wide(register, alert, lane, principal, policies)
    )
    if held:
        return Screened(AlertState.HELD, held, notes)
    return Screened(AlertState.ACCEPTED, "", notes)

"""Lanes: separate queues so that a grave alert never stands behind a light one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from alerting.domain.alert import Alert, Info, MsgType, Severity, Status
from alerting.domain.said import said


class Lane(StrEnum):
    """In order of precedence."""

    EXTREME = "extreme"
    SEVERE = "severe"
    ROUTINE = "routine"
    DRILL = "drill"


_ORDER = {lane: n for n, lane in enumerate(Lane)}


def graver(lane: Lane) -> frozenset[Lane]:
    """The lanes that go before this one."""
    return frozenset(other for other in Lane if _ORDER[other] < _ORDER[lane])


#: Lanes in which a doubled message is better than a missing one.
GRAVE_LANES = frozenset({Lane.EXTREME, Lane.SEVERE})


def lane_of(alert: Alert) -> Lane:
    """Say which lane an alert travels in, before anybody is found whom it concerns.

    Anything but Actual is a drill. The end of a danger interrupts less than the danger did, so
    infos that end it do not raise the lane above routine. A Cancel corrects something false and
    so hurries: workers let it take turns with a live Extreme (`dispatch/chunks/locks.py`).
    """
    return _lane(alert, alert.infos)


def lane_for(alert: Alert, info_no: int) -> Lane:
    """Say in which lane an alert travels to those who are told this of it: their own danger
    decides, not that of others elsewhere."""
    info = said(alert, info_no)
    return _lane(alert, () if info is None else (info,))


def _lane(alert: Alert, infos: Sequence[Info]) -> Lane:
    if alert.status is not Status.ACTUAL:
        return Lane.DRILL
    if alert.msg_type is MsgType.CANCEL:
        return Lane.SEVERE
    live = [i.severity for i in infos if not alert.ends_in(i)]
    gravest = min(live, key=lambda s: s.rank, default=Severity.UNKNOWN)
    return {Severity.EXTREME: Lane.EXTREME, Severity.SEVERE: Lane.SEVERE}.get(gravest, Lane.ROUTINE)

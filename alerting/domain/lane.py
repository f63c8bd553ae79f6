"""Lanes: separate queues, so that a high-priority alert never waits behind a low-priority one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from alerting.domain.alert import Alert, Info, MsgType, Severity, Status
from alerting.domain.info_selection import info_for


class Lane(StrEnum):
    """In order of precedence."""

    EXTREME = "extreme"
    SEVERE = "severe"
    ROUTINE = "routine"
    DRILL = "drill"


_ORDER = {lane: n for n, lane in enumerate(Lane)}


def higher_lanes(lane: Lane) -> frozenset[Lane]:
    """The lanes with a higher priority than this one."""
    return frozenset(other for other in Lane if _ORDER[other] < _ORDER[lane])


#: Lanes in which a duplicate message is better than a missing one.
HIGH_PRIORITY_LANES = frozenset({Lane.EXTREME, Lane.SEVERE})


def lane_of(alert: Alert) -> Lane:
    """The lane of an alert, before its audience is known.

    Anything but Actual is a drill. The end of a danger interrupts less than the danger did, so
    infos that end it do not raise the lane above routine. A Cancel corrects a false alert and is
    urgent: workers let it alternate with a live Extreme alert (`dispatch/chunks/locks.py`).
    """
    return _lane(alert, alert.infos)


def lane_for(alert: Alert, info_no: int) -> Lane:
    """The lane in which an alert goes to recipients of this info: their own danger decides, not
    that of recipients elsewhere."""
    info = info_for(alert, info_no)
    return _lane(alert, () if info is None else (info,))


def _lane(alert: Alert, infos: Sequence[Info]) -> Lane:
    if alert.status is not Status.ACTUAL:
        return Lane.DRILL
    if alert.msg_type is MsgType.CANCEL:
        return Lane.SEVERE
    live = [i.severity for i in infos if not alert.ends_in(i)]
    most_severe = min(live, key=lambda s: s.rank, default=Severity.UNKNOWN)
    return {Severity.EXTREME: Lane.EXTREME, Severity.SEVERE: Lane.SEVERE}.get(
        most_severe, Lane.ROUTINE
    )

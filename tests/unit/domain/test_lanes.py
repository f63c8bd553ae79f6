from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from alerting.domain.alert import (
    Alert,
    Category,
    Certainty,
    Info,
    MsgType,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.lane import Lane, lane_of
from alerting.domain.retime import sent_now

AT = datetime(2026, 11, 1, 6, tzinfo=UTC)


def an_alert(severity: Severity, **changes: object) -> Alert:
    info = Info(
        (Category.FIRE,), "Wildfire", Urgency.IMMEDIATE, severity, Certainty.OBSERVED, expires=AT
    )
    base = Alert("a-1", "s@example.org", AT, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC)
    return replace(base, infos=(info,), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("severity", "lane"),
    [
        (Severity.EXTREME, Lane.EXTREME),
        (Severity.SEVERE, Lane.SEVERE),
        (Severity.MODERATE, Lane.ROUTINE),
        (Severity.UNKNOWN, Lane.ROUTINE),
    ],
)
def test_severity_chooses_the_lane(severity: Severity, lane: Lane) -> None:
    assert lane_of(an_alert(severity)) is lane


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTUAL])
def test_non_actual_is_drill(status: Status) -> None:
    assert lane_of(an_alert(Severity.EXTREME, status=status)) is Lane.DRILL


def test_end_of_danger_is_routine() -> None:
    alert = an_alert(Severity.EXTREME)
    over = replace(alert.infos[0], response_types=(ResponseType.ALL_CLEAR,))
    assert lane_of(replace(alert, infos=(over,))) is Lane.ROUTINE
    assert lane_of(replace(alert, infos=(over, alert.infos[0]))) is Lane.EXTREME


def test_cancel_of_extreme_is_severe() -> None:
    assert lane_of(an_alert(Severity.EXTREME, msg_type=MsgType.CANCEL)) is Lane.SEVERE


def test_moved_to_now_keeps_every_span() -> None:
    alert = an_alert(Severity.SEVERE)
    now = datetime(2027, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    moved = sent_now(alert, now)
    assert moved.sent == now.replace(microsecond=0)
    assert moved.infos[0].expires == moved.sent + (AT - alert.sent)
    assert moved.infos[0].onset is None

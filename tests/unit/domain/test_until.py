"""When a danger ends, as far as its sender says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alerting.domain.alert import (
    Alert,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.retime import sent_now

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=9)
INFO = Info(
    (Category.MET,), "Fire weather", Urgency.FUTURE, Severity.SEVERE, Certainty.LIKELY, expires=NOON
)


def ending(value: str) -> tuple[NamedValue, ...]:
    return (NamedValue("eventEndingTime", value),)


@pytest.mark.parametrize(
    ("changes", "until"),
    [
        ({}, NOON),
        ({"expires": None}, None),
        ({"onset": NOON - timedelta(hours=1)}, NOON),
        ({"onset": NOON + timedelta(hours=1)}, None),
        ({"parameters": ending("2026-03-01T21:00:00+00:00")}, LATER),
        ({"parameters": ending("2026-03-01T16:00:00-05:00"), "onset": LATER}, LATER),
        ({"parameters": ending("2026-03-01T21:00:00")}, NOON),
        ({"parameters": ending("tonight")}, NOON),
    ],
)
def test_until_is_the_end_of_the_danger(changes: dict[str, object], until: datetime | None) -> None:
    assert replace(INFO, **changes).until == until  # type: ignore[arg-type]


def test_until_moves_with_the_alert() -> None:
    info = replace(INFO, parameters=ending("2026-03-01T16:00:00-05:00"))
    alert = Alert("a", "met@example.org", NOON, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC)
    moved = sent_now(replace(alert, infos=(info,)), NOON + timedelta(days=30))
    assert moved.infos[0].until == LATER + timedelta(days=30)

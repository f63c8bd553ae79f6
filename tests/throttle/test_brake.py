from __future__ import annotations

from typing import Any

import pytest
from alert_examples import alert, info
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert import (
    Alert,
    MsgType,
    ResponseType,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.lane import lane_of
from alerting.throttle.brake import hold
from alerting.throttle.policy.parse import default_policy, parse_policy

SEVERE = alert(info(severity=Severity.SEVERE))
EXTREME = alert(info(severity=Severity.EXTREME))
ENDS = [info(urgency=Urgency.PAST), info(response_types=(ResponseType.ALL_CLEAR,))]


def held(a: Alert, policy: str = "", **facts: Any) -> str | None:
    known: dict[str, Any] = {"recent": 0, "usual_per_window": 0.0, "audience": None} | facts
    return hold(a, policy=parse_policy(policy), lane=lane_of(a), **known)


def test_an_ordinary_alert_does_not_wait() -> None:
    assert held(SEVERE, recent=3, usual_per_window=1, audience=10_000) is None


def test_a_sender_far_above_its_usual_rate_waits() -> None:
    reason = held(SEVERE, recent=45, usual_per_window=3.2)
    assert reason == "Its sender issued 45 alerts in the last hour, where 3.2 are usual."


@pytest.mark.parametrize(
    ("recent", "usual", "waits"),
    [(19, 0, False), (20, 0, True), (20, 2, True), (20, 2.1, False), (500, 50, True)],
)
def test_both_the_number_and_the_factor_must_be_reached(
    recent: int, usual: float, waits: bool
) -> None:
    assert (held(SEVERE, recent=recent, usual_per_window=usual) is not None) == waits


def test_an_audience_above_the_set_size_waits() -> None:
    assert held(SEVERE, audience=500_000) is None
    reason = held(SEVERE, audience=500_001)
    assert reason == (
        "It would go to 500,001 citizens, more than the 500,000 that one person may alert."
    )


def test_all_reasons_are_told() -> None:
    reason = held(
        SEVERE, "[storm]\nwindow_s = 5400\nat_least = 2\naudience_max = 1", recent=2, audience=2
    )
    assert reason is not None
    assert "in the last 90 minutes, where 0.0 are usual. It would go to 2 citizens" in reason


FLOODED = {"recent": 10_000, "usual_per_window": 0.0, "audience": 10_000_000}


def test_extreme_of_a_preauthorised_sender_never_waits() -> None:
    assert held(EXTREME, **FLOODED) is None
    own = '[storm]\npreauthorised = ["*@Example.org"]'
    assert held(EXTREME, own, **FLOODED) is None
    other = '[storm]\npreauthorised = ["centre-?"]'
    assert held(EXTREME, other, **FLOODED) is not None
    assert held(EXTREME, other) is None, "without a storm nobody waits"


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTUAL])
def test_drills_never_wait(status: Status) -> None:
    drill = alert(info(severity=Severity.SEVERE), status=status)
    assert held(drill, **FLOODED) is None


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_danger_never_waits(end: Any) -> None:
    assert held(alert(end, msg_type=MsgType.UPDATE), **FLOODED) is None
    mixed = alert(info(severity=Severity.SEVERE), end, msg_type=MsgType.UPDATE)
    assert held(mixed, **FLOODED) is None, "an end for some is not kept from them"


@pytest.mark.parametrize("msg_type", [MsgType.CANCEL, MsgType.ACK, MsgType.ERROR])
def test_a_cancel_never_waits(msg_type: MsgType) -> None:
    assert held(alert(msg_type=msg_type), **FLOODED) is None
    assert held(alert(info(), msg_type=msg_type), **FLOODED) is None


@given(
    st.sampled_from(list(Severity)),
    st.integers(0, 200),
    st.floats(0, 100),
    st.integers(0, 10**6) | st.none(),
)
def test_more_of_anything_never_lets_go(
    severity: Severity, recent: int, usual: float, audience: int | None
) -> None:
    a = alert(info(severity=severity))
    facts = {"usual_per_window": usual, "policy": default_policy(), "lane": lane_of(a)}
    if hold(a, recent=recent, audience=audience, **facts):  # type: ignore[arg-type]
        more = None if audience is None else audience + 1
        assert hold(a, recent=recent + 1, audience=more, **facts)  # type: ignore[arg-type]

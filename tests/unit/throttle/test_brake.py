from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from alert_examples import alert, info
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert import (
    Alert,
    Area,
    MsgType,
    Polygon,
    ResponseType,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.lane import lane_of
from alerting.domain.principal import Principal
from alerting.throttle.brake import hold
from alerting.throttle.policy.parse import default_policy, parse_policy

SEVERE = alert(info(severity=Severity.SEVERE))
EXTREME = alert(info(severity=Severity.EXTREME))
ENDS = [info(urgency=Urgency.PAST), info(response_types=(ResponseType.ALL_CLEAR,))]


GAUGE = Principal("key:gauges-1")


def held(a: Alert, policy: str = "", who: Principal = GAUGE, **facts: Any) -> str | None:
    return hold(a, principal=who, policy=parse_policy(policy), lane=lane_of(a), **facts)


def test_ordinary_alert_is_not_held() -> None:
    assert held(SEVERE, recent=3, usual_per_window=1, audience=10_000) is None


def test_sender_above_usual_rate_is_held() -> None:
    reason = held(SEVERE, recent=45, usual_per_window=3.2)
    assert reason == "Its sender issued 45 alerts in the last hour, where 3.2 are usual."


def test_key_above_usual_rate_is_held_whatever_sender_it_names() -> None:
    reason = held(SEVERE, recent=1, recent_by_key=150, usual_by_key=2)
    assert reason == "key:gauges-1 issued 150 alerts in the last hour, where 2.0 are usual."
    assert held(SEVERE, recent=1, recent_by_key=150, usual_by_key=20) is None
    both = held(SEVERE, recent=150, recent_by_key=150)
    assert both == "Its sender issued 150 alerts in the last hour, where 0.0 are usual."


@pytest.mark.parametrize(
    ("recent", "usual", "waits"),
    [(19, 0, False), (20, 0, True), (20, 2, True), (20, 2.1, False), (500, 50, True)],
)
def test_number_and_factor_must_both_be_reached(recent: int, usual: float, waits: bool) -> None:
    assert (held(SEVERE, recent=recent, usual_per_window=usual) is not None) == waits


def test_audience_above_limit_is_held() -> None:
    assert held(SEVERE, audience=500_000) is None
    reason = held(SEVERE, audience=500_001)
    assert reason == (
        "It would go to 500,001 citizens, more than the 500,000 that one person may alert."
    )


def test_reason_names_every_cause() -> None:
    reason = held(
        SEVERE, "[storm]\nwindow_s = 5400\nat_least = 2\naudience_max = 1", recent=2, audience=2
    )
    assert reason is not None
    assert "in the last 90 minutes, where 0.0 are usual. It would go to 2 citizens" in reason


FLOODED = {"recent": 10_000, "usual_per_window": 0.0, "audience": 10_000_000}
PERSON = Principal("person:ada key:ada-1")


@pytest.mark.parametrize(
    ("entries", "who", "waits"),
    [
        ("", GAUGE, False),
        ('keys = ["gauges-*"]', GAUGE, False),
        ('keys = ["KEY:Gauges-?"]', GAUGE, False),
        ('keys = ["gauges-2"]', GAUGE, True),
        ('keys = ["centre-?", "gauges-1"]', GAUGE, False),
        ('keys = ["person:ada"]', PERSON, False),
        ('keys = ["ada-1"]', PERSON, False),
        ('keys = ["ada"]', PERSON, True),
        ('keys = ["person:gauges-1"]', GAUGE, True),
        ('keys = ["person:ada"]', Principal("key:person:ada"), True),
        ('hazards = ["flood"]', GAUGE, False),
        ('hazards = ["fire"]', GAUGE, True),
        ('hazards = ["fire"]\n[[storm.preauthorised]]\nhazards = ["flood"]', GAUGE, False),
        ('area = ["0,0 0,9 9,9 9,0 0,0"]', GAUGE, False),
        ('area = ["0,0 0,1 1,1 1,0 0,0", "1,0 1,1 2,1 2,0 1,0"]', GAUGE, False),
        ('area = ["1,1 1,9 9,9 9,1 1,1"]', GAUGE, True),
    ],
)
def test_extreme_is_held_unless_preauthorised(entries: str, who: Principal, waits: bool) -> None:
    ground = Area("Here", polygons=(Polygon(((0, 0), (0, 1), (2, 1), (2, 0), (0, 0))),))
    flood = alert(info(severity=Severity.EXTREME, event="Flood", areas=(ground,)))
    policy = f"[[storm.preauthorised]]\n{entries}"
    assert (held(flood, policy, who, **FLOODED) is not None) is waits
    assert held(flood, policy, who) is None, "without a storm nobody waits"
    severe = alert(info(severity=Severity.SEVERE, event="Flood", areas=(ground,)))
    assert held(severe, policy, who, **FLOODED) is not None, "only Extreme ones may pass"


def test_hazard_beside_preauthorised_one_is_held() -> None:
    both = alert(
        info(severity=Severity.EXTREME, event="Flood"),
        info(severity=Severity.MINOR, event="Forest fire", headline=None, event_codes=()),
    )
    policy = '[[storm.preauthorised]]\nhazards = ["flood"]'
    assert held(both, policy, **FLOODED) is not None
    assert held(EXTREME, "[storm]\npreauthorised = []", **FLOODED) is not None


def test_sender_name_preauthorises_nothing() -> None:
    sender = replace(EXTREME, sender="civil-protection@example.org")
    before = '[storm]\npreauthorised = ["civil-protection@example.org"]'
    assert held(sender, before, **FLOODED) is not None
    assert held(sender, before, Principal("key:Civil-Protection@example.org"), **FLOODED) is None
    assert held(sender, '[storm]\npreauthorised = ["*"]', **FLOODED) is None, "any key"


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTUAL])
def test_drill_is_never_held(status: Status) -> None:
    drill = alert(info(severity=Severity.SEVERE), status=status)
    assert held(drill, **FLOODED) is None


@pytest.mark.parametrize("end", ENDS)
def test_end_of_danger_is_never_held(end: Any) -> None:
    assert held(alert(end, msg_type=MsgType.UPDATE), **FLOODED) is None
    mixed = alert(info(severity=Severity.SEVERE), end, msg_type=MsgType.UPDATE)
    assert held(mixed, **FLOODED) is not None, "an end for some hides no danger for others"
    assert held(alert(end, end), **FLOODED) is None


@pytest.mark.parametrize("msg_type", [MsgType.CANCEL, MsgType.ACK, MsgType.ERROR])
def test_cancel_is_never_held(msg_type: MsgType) -> None:
    assert held(alert(msg_type=msg_type), **FLOODED) is None
    assert held(alert(info(), msg_type=msg_type), **FLOODED) is None


@given(
    st.sampled_from(list(Severity)),
    st.integers(0, 200),
    st.floats(0, 100),
    st.integers(0, 10**6) | st.none(),
)
def test_more_recent_or_people_never_releases(
    severity: Severity, recent: int, usual: float, audience: int | None
) -> None:
    a = alert(info(severity=severity))
    facts = {
        "usual_per_window": usual,
        "principal": GAUGE,
        "policy": default_policy(),
        "lane": lane_of(a),
    }
    if hold(a, recent=recent, audience=audience, **facts):  # type: ignore[arg-type]
        more = None if audience is None else audience + 1
        assert hold(a, recent=recent + 1, audience=more, **facts)  # type: ignore[arg-type]

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.alert_state import AlertState
from alerting.domain.decision import Reason, Verdict
from alerting.throttle.gate import Facts, decide

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
OPEN = Facts(NOW, AlertState.DELIVERING, NOW + timedelta(hours=1), True, True, False, False)


def test_a_first_alert_goes_out() -> None:
    decision = decide(OPEN)
    assert (decision.verdict, decision.reason) == (Verdict.SEND, Reason.NEW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"alert_state": AlertState.CANCELLED}, Reason.CANCELLED),
        ({"alert_state": AlertState.SUPERSEDED}, Reason.SUPERSEDED),
        ({"alert_state": AlertState.EXPIRED}, Reason.EXPIRED),
        ({"expires_at": NOW}, Reason.EXPIRED),
        ({"consent": False}, Reason.OPTED_OUT),
        ({"verified": False}, Reason.UNVERIFIED),
        ({"suspended": True}, Reason.SUSPENDED),
        ({"already_told": True}, Reason.ALREADY_TOLD),
    ],
)
def test_each_rule_drops_with_its_reason(change: dict[str, object], reason: Reason) -> None:
    decision = decide(replace(OPEN, **change))  # type: ignore[arg-type]
    assert (decision.verdict, decision.reason) == (Verdict.DROP, reason)
    assert reason.sentence


@given(
    st.sampled_from(list(AlertState)),
    st.integers(-5, 5),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_sent_only_when_nothing_speaks_against_it(
    state: AlertState, left_s: int, consent: bool, verified: bool, suspended: bool, told: bool
) -> None:
    facts = Facts(NOW, state, NOW + timedelta(seconds=left_s), consent, verified, suspended, told)
    free = consent and verified and not suspended and not told and left_s > 0
    live = state in {AlertState.ACCEPTED, AlertState.DELIVERING, AlertState.COMPLETED}
    assert (decide(facts).verdict is Verdict.SEND) == (free and live)

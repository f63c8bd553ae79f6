from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.domain import alert_state, delivery, work_state
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.delivery import NOTIFIED, SETTLED, TRANSITIONS, UNSETTLED, DeliveryState
from alerting.domain.transitions import final
from alerting.domain.work_state import WorkState

S = DeliveryState


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (DeliveryState, delivery.TRANSITIONS),
        (AlertState, alert_state.TRANSITIONS),
        (WorkState, work_state.TRANSITIONS),
    ],
)
def test_every_state_has_a_row_without_itself(
    kind: type[StrEnum], table: dict[Any, frozenset[Any]]
) -> None:
    assert list(table) == list(kind)
    assert not [s for s, ends in table.items() if s in ends]


def test_ends_are_final_and_settled() -> None:
    assert final(TRANSITIONS) == {S.DELIVERED, S.FAILED, S.SUPPRESSED, S.EXPIRED, S.REVOKED}
    assert final(TRANSITIONS) < SETTLED
    assert {S.PLANNED, S.DEFERRED, S.IN_DOUBT} == UNSETTLED
    assert {
        AlertState.RECORDED,
        AlertState.CANCELLED,
        AlertState.SUPERSEDED,
        AlertState.EXPIRED,
    } == ENDED


@given(st.lists(st.sampled_from(list(S)), max_size=12))
def test_notified_state_never_becomes_unsent(steps: list[DeliveryState]) -> None:
    """Whoever may have been told never counts as unsent again."""
    at, notified = S.PLANNED, False
    for step in steps:
        if step in TRANSITIONS[at]:
            at = step
        notified = notified or at in NOTIFIED
        if notified:
            assert at in NOTIFIED | {S.FAILED}


def test_in_doubt_counts_as_notified() -> None:
    assert S.IN_DOUBT in NOTIFIED
    assert S.PLANNED not in NOTIFIED

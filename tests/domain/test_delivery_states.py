from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerting.domain.delivery import SETTLED, TOLD, TRANSITIONS, DeliveryState, may_move

S = DeliveryState


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(S)


def test_ends_are_final_and_settled() -> None:
    ends = {s for s in S if not TRANSITIONS[s]}
    assert ends == {S.DELIVERED, S.FAILED, S.SUPPRESSED, S.EXPIRED, S.REVOKED}
    assert ends < SETTLED


@given(st.lists(st.sampled_from(list(S)), max_size=12))
def test_no_walk_un_tells_a_citizen(steps: list[DeliveryState]) -> None:
    """Whoever the provider certainly took a message for never counts as unsent again."""
    at = S.PLANNED
    taken = False
    for step in steps:
        if may_move(at, step):
            at = step
            taken = taken or at in {S.ACCEPTED, S.DELIVERED}
        if taken:
            assert at in {S.ACCEPTED, S.DELIVERED, S.FAILED}


def test_doubt_counts_as_told() -> None:
    assert S.IN_DOUBT in TOLD
    assert S.PLANNED not in TOLD
    assert not may_move(S.IN_DOUBT, S.SUPPRESSED)

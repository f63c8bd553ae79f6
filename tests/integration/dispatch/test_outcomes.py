from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerting.channels.base import (
    AMBIGUOUS,
    DEAD_ADDRESS,
    OUR_FAULT,
    PROVIDER_DOWN,
    REFUSED_CONTENT,
    THROTTLED,
    TOO_LATE,
    UNREACHABLE,
    ErrorClass,
    Outcome,
)
from alerting.dispatch.chunks.outcome import (
    InDoubtStep,
    after_send,
    asked_to_wait,
    in_doubt_step,
    next_try,
)
from alerting.dispatch.chunks.send import windows
from alerting.dispatch.evaluation.chunk_evaluator import Sending
from alerting.domain.decision import Action, Decision, Reason
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.settings import Settings
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.store.schema import CHUNK_SPAN

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
D = OpenDelivery(
    id=7,
    citizen_id=1,
    address_id=1,
    info_no=0,
    area_no=0,
    places=1,
    state="planned",
    tries=0,
    deferrals=0,
    due_at=None,
    attempted_at=None,
    endpoint="x",
    keys=None,
    consent=True,
    verified=True,
    suspended_reason="",
    language="en",
    time_zone="UTC",
    quiet_from=None,
    quiet_to=None,
    already_told=False,
)
SETTINGS = Settings(max_tries=3, in_doubt_wait_s=5, in_doubt_hold_s=60, retry_s=2, retry_max_s=8)


def test_outcome_of_taken_message_is_accepted() -> None:
    s = after_send(D, Outcome(7, provider_ref="SM1"), NOW, SETTINGS)
    assert (s.state, s.provider_ref, s.tried) == (DeliveryState.ACCEPTED, "SM1", 1)
    assert not s.possible_duplicate


@pytest.mark.parametrize(
    ("error", "tries", "state"),
    [
        (PROVIDER_DOWN, 0, DeliveryState.PLANNED),
        (PROVIDER_DOWN, 99, DeliveryState.PLANNED),
        (UNREACHABLE, 1, DeliveryState.PLANNED),
        (UNREACHABLE, 2, DeliveryState.FAILED),
        (OUR_FAULT, 99, DeliveryState.PLANNED),
        (THROTTLED, 99, DeliveryState.PLANNED),
        (DEAD_ADDRESS, 0, DeliveryState.FAILED),
        (REFUSED_CONTENT, 0, DeliveryState.FAILED),
        (TOO_LATE, 0, DeliveryState.EXPIRED),
        (AMBIGUOUS, 0, DeliveryState.IN_DOUBT),
    ],
)
def test_outcome_of_refusal_follows_its_class(
    error: ErrorClass, tries: int, state: DeliveryState
) -> None:
    s = after_send(D._replace(tries=tries), Outcome(7, error), NOW, SETTINGS)
    assert (s.state, s.reason) == (state, error.code)


def test_outcome_of_resend_is_flagged_or_in_doubt() -> None:
    unsure = D._replace(state="in_doubt", tries=1)
    assert after_send(unsure, Outcome(7), NOW, SETTINGS).possible_duplicate
    again = after_send(unsure, Outcome(7, PROVIDER_DOWN), NOW, SETTINGS)
    assert again.state is DeliveryState.IN_DOUBT


def test_outcome_of_late_resend_closes_the_doubt() -> None:
    """Not as expired: the first try may have told the citizen, who then hears of the end."""
    late = after_send(D._replace(state="in_doubt", tries=1), Outcome(7, TOO_LATE), NOW, SETTINGS)
    assert (late.state, late.reason) == (DeliveryState.FAILED, "in-doubt")


@pytest.mark.parametrize(
    ("lane", "age_s", "tries", "expected"),
    [
        (Lane.EXTREME, 4, 1, InDoubtStep.WAIT),
        (Lane.EXTREME, 5, 1, InDoubtStep.RESEND),
        (Lane.SEVERE, 5, 3, InDoubtStep.CLOSE),
        (Lane.ROUTINE, 59, 1, InDoubtStep.WAIT),
        (Lane.ROUTINE, 60, 1, InDoubtStep.CLOSE),
        (Lane.DRILL, 60, 1, InDoubtStep.CLOSE),
    ],
)
def test_in_doubt_step_resends_only_severe(
    lane: Lane, age_s: int, tries: int, expected: InDoubtStep
) -> None:
    unsure = D._replace(state="in_doubt", tries=tries, attempted_at=NOW - timedelta(seconds=age_s))
    assert in_doubt_step(unsure, lane, NOW, SETTINGS) is expected


@pytest.mark.parametrize("lane", Lane)
def test_in_doubt_step_resends_any_lane_by_operator(lane: Lane) -> None:
    unsure = D._replace(state="in_doubt", tries=1, resend=True)
    now, soon = NOW + timedelta(seconds=4), NOW + timedelta(seconds=5)
    unsure = unsure._replace(attempted_at=NOW)
    assert in_doubt_step(unsure, lane, now, SETTINGS) is InDoubtStep.WAIT
    assert next_try(unsure, lane, now, SETTINGS) == soon
    assert in_doubt_step(unsure, lane, soon, SETTINGS) is InDoubtStep.RESEND
    assert in_doubt_step(unsure._replace(tries=3), lane, soon, SETTINGS) is InDoubtStep.CLOSE


def test_only_channel_wide_errors_delay_the_channel() -> None:
    fine, dead = Outcome(7), Outcome(7, DEAD_ADDRESS)
    slow = Outcome(7, THROTTLED, retry_after_s=7)
    assert asked_to_wait([fine, dead, dead]) == 0
    assert asked_to_wait([fine, slow]) == 0
    assert asked_to_wait([fine, slow, slow]) == 7
    assert asked_to_wait([Outcome(7, OUR_FAULT)]) > 0


@pytest.mark.parametrize("tries", range(1, 9))
def test_retry_delay_spreads_below_growing_bound(tries: int) -> None:
    bound = min(8, 2 * 2 ** (tries - 1))
    for _ in range(20):
        due = next_try(D._replace(tries=tries), Lane.ROUTINE, NOW, SETTINGS)
        assert NOW <= due <= NOW + timedelta(seconds=bound)


def test_windows_are_ordered_by_place() -> None:
    def sending(place: int, *, tries: int = 0) -> Sending:
        state = "in_doubt" if tries else "planned"
        d = D._replace(id=5 * CHUNK_SPAN + place, tries=tries, state=state)
        return Sending(d, Decision(Action.SEND, Reason.NEW))

    places = [7, 3, 9, 1, 4, 8]
    sendable = [*map(sending, places), sending(2, tries=2), sending(5, tries=1)]
    found = [[s.delivery.seq for s in w] for w in windows(sendable, 3, start=4)]
    assert found == [[4, 5, 7], [8, 9], [1, 3], [2]]


def test_next_try_of_unsendable_doubt_waits_for_receipt() -> None:
    unsure = D._replace(state="in_doubt", attempted_at=NOW)
    soon = NOW + timedelta(seconds=SETTINGS.in_doubt_wait_s)
    held = NOW + timedelta(seconds=SETTINGS.in_doubt_hold_s)
    for now, to_send, at in (
        (NOW, True, soon), (NOW, False, soon), (soon, True, soon), (soon, False, held),
    ):  # fmt: skip
        assert next_try(unsure, Lane.SEVERE, now, SETTINGS, to_send=to_send) == at

"""Several dangers told in one message: a number for them, and what they say together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

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
from alerting.domain.info_selection import info_for, numbers, together
from alerting.domain.lane import Lane, lane_for, lane_of

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def info(event: str, severity: Severity = Severity.SEVERE, **changes: object) -> Info:
    made = Info(
        (Category.MET,), event, Urgency.IMMEDIATE, severity, Certainty.OBSERVED,
        expires=NOON + timedelta(hours=2), instruction=f"What to do about {event}.",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def alert(*infos: Info, msg_type: MsgType = MsgType.UPDATE) -> Alert:
    return Alert("i", "s@example.org", NOON, Status.ACTUAL, msg_type, Scope.PUBLIC, infos=infos)


@given(st.sets(st.integers(0, 14), min_size=1), st.integers(15, 20))
def test_together_encodes_infos_in_a_smallint(nos: set[int], count: int) -> None:
    one = alert(*(info(f"e{n}") for n in range(count)))
    number = together(sorted(nos))
    assert -(2**15) <= number < 2**15
    assert numbers(one, number) == sorted(nos)


def test_together_of_nothing_or_too_many_is_the_first() -> None:
    one = alert(info("Wind"))
    assert [info_for(one, no) for no in (-1, -2, -3, 1, 99)] == [None] * 5
    assert info_for(one, 0) is one.infos[0]
    # Too many infos to be told together: the first alone.
    assert together([17, 3]) == 17
    assert together([3, 17]) == 3


def test_most_severe_info_leads_the_others() -> None:
    water = info("Boil water", Severity.MODERATE, expires=NOON + timedelta(hours=9))
    wind = info("Wind", headline="Stay inside!", response_types=(ResponseType.SHELTER,))
    both = info_for(alert(water, wind), together([1, 0]))
    assert both is not None
    assert (both.event, both.severity) == ("Wind", Severity.SEVERE)
    assert both.headline == "Stay inside! Boil water"
    assert both.instruction == "What to do about Wind.\nWhat to do about Boil water."
    assert both.expires == NOON + timedelta(hours=9)
    assert info_for(alert(water, replace(wind, expires=None)), together([1, 0])).expires is None  # type: ignore[union-attr]


def test_ended_info_adds_text_but_keeps_expiry() -> None:
    wind = info("Wind", Severity.MODERATE)
    over = info(
        "Surge",
        Severity.EXTREME,
        headline="The surge is over",
        urgency=Urgency.PAST,
        response_types=(ResponseType.ALL_CLEAR,),
        expires=NOON + timedelta(days=1),
    )
    one = alert(over, wind)
    both = info_for(one, together([0, 1]))
    assert both is not None
    assert not one.ends_in(both)
    assert (both.severity, both.urgency) == (Severity.MODERATE, Urgency.IMMEDIATE)
    assert both.expires == wind.expires
    assert both.headline == "Wind. The surge is over"


def test_lane_follows_the_selected_infos() -> None:
    one = alert(info("Dam", Severity.EXTREME), info("Rain", Severity.MINOR),
                info("Fog", Severity.EXTREME, urgency=Urgency.PAST))  # fmt: skip
    assert lane_of(one) is Lane.EXTREME
    assert [lane_for(one, n) for n in range(3)] == [Lane.EXTREME, Lane.ROUTINE, Lane.ROUTINE]
    assert lane_for(one, together([0, 1])) is Lane.EXTREME
    cancel = replace(one, msg_type=MsgType.CANCEL)
    assert {lane_for(cancel, n) for n in (-1, 0, 1)} == {Lane.SEVERE}
    drill = replace(one, status=Status.EXERCISE)
    assert {lane_for(drill, n) for n in (-1, 0, 1)} == {Lane.DRILL}

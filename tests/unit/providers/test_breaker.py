"""When a provider is left alone, and when it is called again."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.providers.breaker import FRESH_S, Breaker, Call, Ending, Limits, State

#: What adding many seconds may leave.
ROUNDING_S = 1e-9
LIMITS = Limits()


@dataclass
class Bench:
    """A breaker on a clock of its own."""

    at: float = 100.0
    heard: list[str] = field(default_factory=list)
    can_fail_over: bool = True

    def __post_init__(self) -> None:
        self.breaker = Breaker(
            lambda: self.at,
            limits=LIMITS,
            can_fail_over=lambda: self.can_fail_over,
            opened=lambda why: self.heard.append(why.name),
            closed=lambda: self.heard.append("closed"),
        )

    def call(self, ending: Ending, *, takes_s: float = 0.01) -> bool:
        """One call; False when it may not go."""
        call = self.breaker.begin()
        if call is None:
            return False
        self.at += takes_s
        self.breaker.ended(call, ending)
        return True

    def calls(self, ending: Ending, count: int) -> int:
        return sum(self.call(ending) for _ in range(count))


def test_nothing_but_bad_calls_opens_it_soon() -> None:
    bench = Bench()
    assert bench.calls(Ending.BAD, 50) == LIMITS.few
    assert bench.breaker.state is State.OPEN
    assert bench.breaker.wait_s() == pytest.approx(LIMITS.cooldown_s)
    assert bench.heard == ["BAD"]


def test_few_bad_among_good_ones_do_not_open_it() -> None:
    bench = Bench()
    for _ in range(200):
        assert bench.call(Ending.GOOD)
        assert bench.call(Ending.GOOD)
        assert bench.call(Ending.BAD)
    assert bench.breaker.state is State.CLOSED


def test_half_of_many_bad_opens_it() -> None:
    bench = Bench()
    went = 0
    for _ in range(100):
        went += bench.call(Ending.GOOD) + bench.call(Ending.BAD)
    assert went == LIMITS.many
    assert bench.heard == ["BAD"]


def test_what_is_long_past_does_not_count() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few - 1)
    bench.at += LIMITS.row_s + 1
    bench.calls(Ending.BAD, LIMITS.few - 1)
    assert bench.breaker.state is State.CLOSED


def test_one_bad_call_an_hour_opens_nothing_and_one_a_minute_does() -> None:
    bench = Bench()
    for pause_s, state in ((3600, State.CLOSED), (60, State.OPEN)):
        for _ in range(LIMITS.few):
            bench.call(Ending.BAD)
            bench.at += pause_s if bench.breaker.state is State.CLOSED else 0
        assert bench.breaker.state is state


def test_a_busy_provider_that_breaks_down_is_seen_by_a_row_of_bad_calls() -> None:
    """Though the good calls of the last seconds are many more."""
    bench = Bench()
    assert bench.calls(Ending.GOOD, 900) == 900
    assert bench.calls(Ending.BAD, 900) == LIMITS.many


def test_a_refusal_of_us_rests_longer_and_one_alone_opens_nothing() -> None:
    bench = Bench()
    assert bench.call(Ending.REFUSED_US)
    assert bench.breaker.state is State.CLOSED
    assert bench.calls(Ending.REFUSED_US, 10) == 2
    assert bench.heard == ["REFUSED_US"]
    assert bench.breaker.wait_s() == pytest.approx(LIMITS.refused_cooldown_s)


def test_what_says_nothing_of_the_provider_never_opens_it() -> None:
    bench = Bench()
    assert bench.calls(Ending.NOTHING, 1000) == 1000


def test_after_its_rest_probes_go_one_at_a_time_and_good_ones_close_it() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few)
    bench.at += LIMITS.cooldown_s
    assert bench.breaker.state is State.HALF_OPEN
    first = bench.breaker.begin()
    assert first is not None
    assert bench.breaker.begin() is None
    bench.breaker.ended(first, Ending.GOOD)
    assert bench.calls(Ending.GOOD, LIMITS.good_probes - 1) == LIMITS.good_probes - 1
    assert bench.breaker.state is State.CLOSED
    assert bench.heard == ["BAD", "closed"]


def test_a_bad_probe_doubles_the_rest_up_to_a_bound() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few)
    rests = []
    for _ in range(10):
        rests.append(bench.breaker.wait_s())
        bench.at += bench.breaker.wait_s()
        assert bench.call(Ending.BAD)
    assert rests[:3] == pytest.approx([2, 4, 8])
    assert rests[-1] == pytest.approx(LIMITS.cooldown_max_s)


def test_a_probe_that_is_never_heard_of_again_does_not_keep_it_open() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few)
    bench.at += LIMITS.cooldown_s
    assert bench.breaker.begin() is not None
    bench.at += LIMITS.slow_s + 1
    bench.breaker.count_hanging()
    assert bench.breaker.state is State.OPEN
    bench.at += bench.breaker.wait_s()
    assert bench.call(Ending.GOOD)


def test_calls_that_hang_open_it_before_they_end() -> None:
    bench = Bench()
    hanging = [bench.breaker.begin() for _ in range(64)]
    bench.at += LIMITS.slow_s + 0.1
    assert bench.breaker.begin() is None
    assert bench.breaker.state is State.OPEN
    for call in hanging:
        assert call is not None
        bench.breaker.ended(call, Ending.BAD)
    assert bench.heard == ["BAD"]


@pytest.mark.parametrize("spare", [True, False])
def test_a_slow_provider_is_better_than_none(*, spare: bool) -> None:
    bench = Bench(can_fail_over=spare)
    for _ in range(LIMITS.many):
        bench.call(Ending.GOOD, takes_s=LIMITS.slow_s + 0.1)
    assert bench.breaker.state is (State.OPEN if spare else State.CLOSED)


def test_nothing_else_to_call_keeps_hanging_calls_from_opening_it() -> None:
    bench = Bench(can_fail_over=False)
    hanging = [bench.breaker.begin() for _ in range(64)]
    bench.at += LIMITS.slow_s + 10
    assert bench.breaker.begin() is not None
    # That they failed in the end is what counts.
    for call in hanging:
        assert call is not None
        bench.breaker.ended(call, Ending.BAD)
    assert bench.heard == ["BAD"]


def test_silence_ends_with_a_good_answer() -> None:
    bench = Bench()
    first, second = bench.breaker.begin(), bench.breaker.begin()
    assert first is not None
    assert second is not None
    assert not bench.breaker.silent_since(first)
    bench.at += LIMITS.slow_s
    assert bench.breaker.silent_since(first)
    bench.breaker.ended(second, Ending.GOOD)
    assert not bench.breaker.silent_since(first)


def test_what_is_urgent_probes_once_a_second_though_the_rest_is_not_over() -> None:
    bench = Bench()
    bench.calls(Ending.REFUSED_US, LIMITS.few)
    cooldown_s = bench.breaker.wait_s()
    assert bench.breaker.begin(urgent=True) is None
    bench.at += bench.breaker.wait_s(urgent=True)
    probe = bench.breaker.begin(urgent=True)
    assert probe is not None
    assert bench.breaker.begin(urgent=True) is None
    bench.breaker.ended(probe, Ending.REFUSED_US)
    # It made the rest no longer, and a good one ends it.
    assert bench.breaker.wait_s() == pytest.approx(cooldown_s - LIMITS.probe_every_s)
    bench.at += LIMITS.probe_every_s
    probe = bench.breaker.begin(urgent=True)
    assert probe is not None
    bench.breaker.ended(probe, Ending.GOOD)
    assert bench.breaker.state is State.HALF_OPEN
    assert bench.calls(Ending.GOOD, LIMITS.good_probes - 1) == LIMITS.good_probes - 1
    assert bench.breaker.state is State.CLOSED


def test_another_workers_finding_opens_it_here_and_ends_here() -> None:
    bench = Bench()
    bench.breaker.cool_down(30)
    assert bench.breaker.begin() is None
    bench.breaker.end_cooldown()
    assert bench.calls(Ending.GOOD, LIMITS.good_probes) == LIMITS.good_probes
    assert bench.heard == ["closed"]


def test_another_workers_finding_does_not_stop_what_works_here() -> None:
    bench = Bench()
    bench.call(Ending.GOOD)
    bench.breaker.cool_down(30)
    assert bench.breaker.state is State.CLOSED
    bench.at += FRESH_S + 0.1
    bench.breaker.cool_down(30)
    assert bench.breaker.state is State.OPEN


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(list(Ending)),
        st.floats(0, 8),
        st.floats(0, 8),
        st.booleans(),
        st.sampled_from(["", "rest", "try_now"]),
    ),
    max_size=120,
)


@given(_STEPS)
def test_it_always_lets_a_call_go_again_and_never_two_probes_within_a_second(
    steps: list[tuple[Ending, float, float, bool, str]],
) -> None:
    bench = Bench()
    for ending, takes_s, pause_s, bench.can_fail_over, others_say in steps:
        call = bench.breaker.begin()
        if call is not None:
            if call.probe:
                assert bench.breaker.begin() is None
                assert bench.breaker.begin(urgent=True) is None
            bench.at += takes_s
            bench.breaker.ended(call, ending)
        match others_say:
            case "rest":
                bench.breaker.cool_down(pause_s * 20)
            case "try_now":
                bench.breaker.end_cooldown()
        bench.at += pause_s
        assert 0 <= bench.breaker.wait_s() <= LIMITS.cooldown_max_s
        assert bench.breaker.wait_s(urgent=True) <= LIMITS.probe_every_s + ROUNDING_S
    bench.at += LIMITS.cooldown_max_s + LIMITS.probe_every_s
    for _ in range(LIMITS.good_probes):
        assert bench.call(Ending.GOOD)
    assert bench.breaker.state is State.CLOSED


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(list(Ending))), max_size=200),
    st.floats(0.01, 2),
)
def test_calls_that_end_in_any_order_leave_nothing_under_way(
    steps: list[tuple[int, Ending]], pause_s: float
) -> None:
    bench = Bench()
    under_way: list[Call] = []
    for begins, ending in steps:
        for _ in range(begins):
            call = bench.breaker.begin()
            if call is not None:
                under_way.append(call)
        bench.at += pause_s
        if under_way:
            bench.breaker.ended(under_way.pop(len(under_way) // 2), ending)
    for call in under_way:
        bench.breaker.ended(call, Ending.GOOD)
    assert not bench.breaker._under_way
    assert "closed,closed" not in ",".join(bench.heard)
    assert bench.heard[:1] != ["closed"]

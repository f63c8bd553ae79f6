"""When a provider is left alone, and when it is called again."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.throttle.breaker import Breaker, Ending, Limits, State

LIMITS = Limits()


@dataclass
class Bench:
    """A breaker on a clock of its own."""

    at: float = 100.0
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breaker = Breaker(lambda: self.at, limits=LIMITS)
        self.breaker.opened = lambda why: self.heard.append(why.name)
        self.breaker.closed = lambda: self.heard.append("closed")

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
    assert bench.breaker.rest_s == pytest.approx(LIMITS.rest_s)
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
    bench.at += LIMITS.window_s + 1
    bench.calls(Ending.BAD, LIMITS.few - 1)
    assert bench.breaker.state is State.CLOSED


def test_a_refusal_of_us_rests_longer_and_one_alone_opens_nothing() -> None:
    bench = Bench()
    assert bench.call(Ending.REFUSED_US)
    assert bench.breaker.state is State.CLOSED
    bench.calls(Ending.REFUSED_US, 10)
    assert bench.heard == ["REFUSED_US"]
    assert bench.breaker.rest_s == pytest.approx(LIMITS.refused_rest_s)


def test_what_says_nothing_of_the_provider_never_opens_it() -> None:
    bench = Bench()
    assert bench.calls(Ending.NOTHING, 1000) == 1000


def test_after_its_rest_probes_go_one_at_a_time_and_good_ones_close_it() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few)
    bench.at += LIMITS.rest_s
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
        rests.append(bench.breaker.rest_s)
        bench.at += bench.breaker.rest_s
        assert bench.call(Ending.BAD)
    assert rests[:3] == pytest.approx([2, 4, 8])
    assert rests[-1] == pytest.approx(LIMITS.rest_max_s)


def test_a_probe_that_is_never_heard_of_again_does_not_keep_it_open() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few)
    bench.at += LIMITS.rest_s
    assert bench.breaker.begin() is not None
    bench.at += LIMITS.slow_s + 1
    bench.breaker.begin()
    assert bench.breaker.state is State.OPEN
    bench.at += bench.breaker.rest_s
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


def test_slow_answers_count_as_bad() -> None:
    bench = Bench()
    calls = [bench.breaker.begin() for _ in range(LIMITS.few)]
    bench.at += LIMITS.slow_s + 0.1
    for call in calls:
        assert call is not None
        bench.breaker.ended(call, Ending.GOOD)
    assert bench.breaker.state is State.OPEN


def test_another_workers_finding_opens_it_here() -> None:
    bench = Bench()
    bench.breaker.stay_open(3)
    assert bench.breaker.begin() is None
    bench.at += 3
    assert bench.call(Ending.GOOD)


_STEPS = st.lists(
    st.tuples(st.sampled_from(list(Ending)), st.floats(0, 8), st.floats(0, 8)), max_size=120
)


@given(_STEPS)
def test_it_always_lets_a_call_go_again_and_never_two_probes_at_once(
    steps: list[tuple[Ending, float, float]],
) -> None:
    bench = Bench()
    for ending, takes_s, pause_s in steps:
        half_open = bench.breaker.state is State.HALF_OPEN
        call = bench.breaker.begin()
        if call is not None:
            if half_open and call.probe:
                assert bench.breaker.begin() is None
            bench.at += takes_s
            bench.breaker.ended(call, ending)
        bench.at += pause_s
        assert 0 <= bench.breaker.rest_s <= LIMITS.rest_max_s
    bench.at += LIMITS.rest_max_s + LIMITS.probe_every_s
    for _ in range(LIMITS.good_probes):
        assert bench.call(Ending.GOOD)
    assert bench.breaker.state is State.CLOSED

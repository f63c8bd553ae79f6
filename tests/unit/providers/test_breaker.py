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


def test_breaker_opens_after_row_of_bad_calls() -> None:
    bench = Bench()
    assert bench.calls(Ending.BAD, 50) == LIMITS.few
    assert bench.breaker.state is State.OPEN
    assert bench.breaker.wait_s() == pytest.approx(LIMITS.cooldown_s)
    assert bench.heard == ["BAD"]


def test_breaker_stays_closed_with_few_bad_calls() -> None:
    bench = Bench()
    for _ in range(200):
        assert bench.call(Ending.GOOD)
        assert bench.call(Ending.GOOD)
        assert bench.call(Ending.BAD)
    assert bench.breaker.state is State.CLOSED


def test_breaker_opens_when_half_of_many_fail() -> None:
    bench = Bench()
    went = 0
    for _ in range(100):
        went += bench.call(Ending.GOOD) + bench.call(Ending.BAD)
    assert went == LIMITS.many
    assert bench.heard == ["BAD"]


def test_breaker_forgets_old_calls() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few - 1)
    bench.at += LIMITS.row_s + 1
    bench.calls(Ending.BAD, LIMITS.few - 1)
    assert bench.breaker.state is State.CLOSED


def test_breaker_opens_by_rate_of_failures() -> None:
    bench = Bench()
    for pause_s, state in ((3600, State.CLOSED), (60, State.OPEN)):
        for _ in range(LIMITS.few):
            bench.call(Ending.BAD)
            bench.at += pause_s if bench.breaker.state is State.CLOSED else 0
        assert bench.breaker.state is state


def test_breaker_opens_soon_for_busy_provider() -> None:
    """Though the good calls of the last seconds are many more."""
    bench = Bench()
    assert bench.calls(Ending.GOOD, 900) == 900
    assert bench.calls(Ending.BAD, 900) == LIMITS.many


def test_breaker_opens_longer_after_refusals_of_us() -> None:
    bench = Bench()
    assert bench.call(Ending.REFUSED_US)
    assert bench.breaker.state is State.CLOSED
    assert bench.calls(Ending.REFUSED_US, 10) == 2
    assert bench.heard == ["REFUSED_US"]
    assert bench.breaker.wait_s() == pytest.approx(LIMITS.refused_cooldown_s)


def test_breaker_ignores_calls_without_verdict() -> None:
    bench = Bench()
    assert bench.calls(Ending.NOTHING, 1000) == 1000


def test_breaker_closes_after_good_probes_one_at_a_time() -> None:
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


def test_breaker_doubles_cooldown_after_bad_probe() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few)
    rests = []
    for _ in range(10):
        rests.append(bench.breaker.wait_s())
        bench.at += bench.breaker.wait_s()
        assert bench.call(Ending.BAD)
    assert rests[:3] == pytest.approx([2, 4, 8])
    assert rests[-1] == pytest.approx(LIMITS.cooldown_max_s)


def test_breaker_replaces_lost_probe() -> None:
    bench = Bench()
    bench.calls(Ending.BAD, LIMITS.few)
    bench.at += LIMITS.cooldown_s
    assert bench.breaker.begin() is not None
    bench.at += LIMITS.slow_s + 1
    bench.breaker.count_hanging()
    assert bench.breaker.state is State.OPEN
    bench.at += bench.breaker.wait_s()
    assert bench.call(Ending.GOOD)


def test_breaker_opens_on_hanging_calls() -> None:
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
def test_breaker_opens_for_slow_provider_only_with_spare(*, spare: bool) -> None:
    bench = Bench(can_fail_over=spare)
    for _ in range(LIMITS.many):
        bench.call(Ending.GOOD, takes_s=LIMITS.slow_s + 0.1)
    assert bench.breaker.state is (State.OPEN if spare else State.CLOSED)


def test_breaker_without_spare_opens_when_hanging_calls_fail() -> None:
    bench = Bench(can_fail_over=False)
    hanging = [bench.breaker.begin() for _ in range(64)]
    bench.at += LIMITS.slow_s + 10
    assert bench.breaker.begin() is not None
    # That they failed in the end is what counts.
    for call in hanging:
        assert call is not None
        bench.breaker.ended(call, Ending.BAD)
    assert bench.heard == ["BAD"]


def test_breaker_silence_ends_with_good_answer() -> None:
    bench = Bench()
    first, second = bench.breaker.begin(), bench.breaker.begin()
    assert first is not None
    assert second is not None
    assert not bench.breaker.silent_since(first)
    bench.at += LIMITS.slow_s
    assert bench.breaker.silent_since(first)
    bench.breaker.ended(second, Ending.GOOD)
    assert not bench.breaker.silent_since(first)


def test_breaker_probes_urgent_calls_each_second() -> None:
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


def test_breaker_follows_finding_of_another_worker() -> None:
    bench = Bench()
    bench.breaker.cool_down(30)
    assert bench.breaker.begin() is None
    bench.breaker.end_cooldown()
    assert bench.calls(Ending.GOOD, LIMITS.good_probes) == LIMITS.good_probes
    assert bench.heard == ["closed"]


def test_breaker_that_works_here_ignores_other_workers() -> None:
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
def test_breaker_always_recovers_with_one_probe_a_second(
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
def test_breaker_counts_no_call_twice_in_any_order(
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

"""The budget in memory forgets what is over, and with a bound what was asked for long ago."""

from __future__ import annotations

import tracemalloc

from budget_backends import EXTREME, LIMITS, MODERATE, YES, Time, asks
from hypothesis import given, settings
from hypothesis import strategies as st
from sizes import size

from alerting.domain.alert import Severity
from alerting.throttle.budget import BUCKET
from alerting.throttle.budget.memory_budget import MemoryBudget


def test_memory_keeps_no_more_than_two_days() -> None:
    time = Time()
    budget = MemoryBudget(time)
    kept = []
    for day in range(30):
        budget.decide(f"alert {day}", asks(range(day * 7_000, day * 7_000 + 7_000)), LIMITS)
        for n in range(500):
            budget.decide(f"alert {day}, part {n}", asks([n * 1_000]), LIMITS)
        kept.append(len(budget))
        time.at += 86_400
    assert max(kept[20:]) <= 1.5 * max(kept[:6])
    assert max(kept) < 100_000


def test_memory_keeps_unexpired_records_under_load() -> None:
    time = Time()
    budget = MemoryBudget(time)
    budget.decide("first", asks([1]), LIMITS)
    for n in range(10):
        budget.decide(f"alert {n}", asks(range(2, 7_000)), LIMITS)
        budget.decide(f"other {n}", asks(range(n * 10**7, (n + 1) * 10**7, 2_000)), LIMITS)
    (answer,) = budget.decide("second", asks([1]), LIMITS)
    assert not answer.admitted
    assert budget.decide("first", asks([1]), LIMITS)[0].admitted


async def test_memory_answers_whatever_the_timeout() -> None:
    budget = MemoryBudget(Time())
    assert (await budget.ask("flood", asks([1], MODERATE), LIMITS, timeout_s=0))[0].admitted


def test_memory_takes_under_thirty_bytes_per_citizen() -> None:
    time = Time()
    budget = MemoryBudget(time)
    tracemalloc.start()
    try:
        for n in range(2):
            for first in range(0, 20_000, 1_000):
                budget.decide(f"alert {n}", asks(range(first, first + 1_000)), LIMITS)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(budget) == 60_000
    assert kept < 20_000 * 30


def test_memory_bound_holds_for_any_ids() -> None:
    budget = MemoryBudget(Time(), most_bytes=300_000)
    tracemalloc.start()
    try:
        for distance in (1, 7, 1_000):
            for first in range(0, size(8_000, 30_000), 500):
                citizens = range(first * distance, (first + 500) * distance, distance)
                budget.decide(f"alert {distance}", asks(citizens), LIMITS)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 400_000


def test_memory_evicts_least_recently_used() -> None:
    budget = MemoryBudget(Time(), most_bytes=60_000)
    budget.decide("first", asks([1, 1_000_001]), LIMITS)
    for n in range(100):
        budget.decide(f"alert {n}", asks([BUCKET * n + 2_000_000]), LIMITS)
        budget.decide(f"still {n}", asks([1]), LIMITS)
    now = budget.decide("second", asks([1, 1_000_001]), LIMITS)
    assert [answer.admitted for answer in now] == [False, True]


def test_memory_evicts_debt_and_verdict_together() -> None:
    """Were the debt kept and the verdict not, a retry would be refused for its own first try."""
    budget = MemoryBudget(Time(), most_bytes=60_000)
    assert budget.decide("first", asks([1]), LIMITS) == [YES]
    for n in range(100):
        budget.decide(f"alert {n}", asks([BUCKET * n + 2_000_000]), LIMITS)
    assert budget.decide("first", asks([1]), LIMITS) == [YES]


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 60, 599, 600, 20_000]),
        st.sampled_from(["flood", "fire", "frost"]),
        st.lists(st.sampled_from([1, 2, 1_001, 2_001, 3_001]), min_size=1, max_size=4),
        st.sampled_from([MODERATE, EXTREME]),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=size(100, 1_000))
def test_memory_judges_evicted_citizens_as_new(
    steps: list[tuple[int, str, list[int], Severity]],
) -> None:
    """Each answer is that of full memory which began at some earlier step, the same for all that
    follow until the citizen is forgotten again."""
    time = Time()
    bounded = MemoryBudget(time, most_bytes=7_000)
    since: dict[int, list[MemoryBudget]] = {}
    for moves_s, occasion, citizens, severity in steps:
        time.at += moves_s
        answers = bounded.decide(occasion, asks(citizens, severity), LIMITS)
        for citizen, answer in dict(zip(citizens, answers, strict=True)).items():
            begun = [*since.get(citizen, []), MemoryBudget(time)]
            since[citizen] = [
                full
                for full in begun
                if full.decide(occasion, asks([citizen], severity), LIMITS) == [answer]
            ]
            assert since[citizen]

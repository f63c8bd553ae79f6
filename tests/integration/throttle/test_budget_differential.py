"""budget.lua against its plain Python reference, on a real Redis."""

from __future__ import annotations

from dataclasses import dataclass

import redis
from budget_backends import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from sizes import size

from alerting.domain.alert import Severity
from alerting.embedded.engines import Engines
from alerting.throttle.budget import Ask, ClassLimit, Limits
from alerting.throttle.budget.memory_budget import MemoryBudget
from alerting.throttle.budget.redis_budget import RedisBudget, connect


@dataclass(frozen=True)
class Run:
    """Citizens at equal distances, so that long spans and full lists of verdicts come up."""

    first: int
    count: int
    distance: int
    severity: Severity

    def asks(self) -> list[Ask]:
        return [Ask(self.first + n * self.distance, self.severity) for n in range(self.count)]


@dataclass(frozen=True)
class Step:
    """The clock moves, then somebody asks."""

    moves_s: float
    occasion: str
    runs: list[Run]
    limits: Limits

    def asks(self) -> list[Ask]:
        return [ask for run in self.runs for ask in run.asks()]


#: Beside the borders of buckets, halves of buckets, spans and shards.
BORDERS = st.sampled_from(
    [0, 1, 32, 33, 34, 499, 500, 501, 967, 999, 1_000, 1_001, 1_999, 999_999, 1_000_000, 1_000_001]
)
SEVERITIES = st.sampled_from(list(Severity))
SINGLE = st.builds(Run, BORDERS, st.just(1), st.just(1), SEVERITIES)
COUNTS, DISTANCES = (
    st.sampled_from([2, 70, 127, 128, 129, 300, 1_001]),
    st.sampled_from([1, 2, 33, 34]),
)
RUNS = st.one_of(
    st.lists(SINGLE, max_size=8),
    st.lists(st.builds(Run, BORDERS, COUNTS, DISTANCES, SEVERITIES), max_size=2),
)
CLASSES = st.builds(ClassLimit, st.integers(1, 4), st.integers(1, 7))
LIMITS = st.builds(Limits, st.sampled_from([0, 1, 7, 600, 14_400]), CLASSES, CLASSES, CLASSES)
MOVES = st.one_of(
    st.just(0.0),
    st.sampled_from([0.5, 1.0, 600.0, 86_399.0, 86_400.0, 90_000.0, -1.0, -600.0, -20_000.0]),
    st.floats(-40_000, 90_000),
)
OCCASIONS = st.sampled_from(["flood", "fire", "frost"])


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Policies change seldom, occasions come again often."""
    policies = draw(st.lists(LIMITS, min_size=1, max_size=2))
    step = st.builds(Step, MOVES, OCCASIONS, RUNS, st.sampled_from(policies))
    return draw(st.lists(step, min_size=1, max_size=12))


@given(steps())
@settings(max_examples=size(60, 1_000))
async def test_any_sequence_matches_the_reference(engines: Engines, sequence: list[Step]) -> None:
    time = Time()
    reference = MemoryBudget(time)
    with redis.Redis.from_url(engines.redis_url) as emptying:
        emptying.flushall()
    async with connect(engines.redis_url) as client:
        budget = RedisBudget(client, now_s=time, timeout_s=60)
        for step in sequence:
            time.at += step.moves_s
            asks = step.asks()
            expected = reference.decide(step.occasion, asks, step.limits)
            assert await budget.ask(step.occasion, asks, step.limits) == expected

"""rate.lua against its plain Python reference, on a real Redis."""

from __future__ import annotations

from dataclasses import dataclass

import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sizes import size

from alerting.domain.lane import Lane
from alerting.embedded.engines import Engines
from alerting.providers.rate.contract import Rate
from alerting.providers.rate.memory_rates import MemoryRateStore
from alerting.providers.rate.redis_rates import RedisRateStore
from alerting.throttle.budget.redis_budget import connect


@dataclass
class Time:
    """Seconds since 1970 that stand still until moved."""

    at: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass(frozen=True)
class Reserve:
    moves_s: float
    sender: str
    lane: Lane
    tenant: str
    worker: str
    tokens: int
    unit: int


@dataclass(frozen=True)
class Report:
    moves_s: float
    sender: str
    throttled: bool
    retry_after_s: float | None


SENDERS = st.sampled_from(["sms", "sms:extreme", "a} b"])
MOVES = st.one_of(
    st.sampled_from([0.0, 0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 10.0, 300.0, -0.01, -5.0]),
    st.floats(0, 0.05),
    st.floats(-1, 12),
)
RESERVES = st.builds(
    Reserve,
    MOVES,
    SENDERS,
    st.sampled_from(Lane),
    st.sampled_from(["police", "fire", "112", ""]),
    st.sampled_from(["a", "b", "c"]),
    st.one_of(st.integers(0, 5), st.sampled_from([64, 1_000, 5_000])),
    st.sampled_from([1, 1, 2, 3, 7]),
)
REPORTS = st.builds(
    Report,
    MOVES,
    SENDERS,
    st.booleans(),
    st.sampled_from([None, -1.0, 0.0, 0.5, 1.0, 30.0, 1e9, float("nan")]),
)
RATES = st.builds(
    Rate,
    st.one_of(st.sampled_from([0.0, 0.3, 1.0, 10.0, 1_000.0, 100_000.0]), st.floats(0.1, 5_000)),
    st.sampled_from([0.05, 0.25, 0.5]),
    st.sampled_from([0.0, 0.2, 0.9]),
)


def crowd(
    moves_s: float, lane: Lane, asks: list[tuple[str, int]], count: int
) -> list[Reserve | Report]:
    """Tenants asking again and again, some for more than there is, so that some get ahead."""
    turns = asks * (count // len(asks) + 1)
    return [Reserve(moves_s, "sms", lane, t, "a", tokens, 1) for t, tokens in turns[:count]]


#: Sequences that lead somewhere: a crowd in one lane, and a rate that recovers while it is used.
CROWDS = st.builds(
    crowd,
    st.sampled_from([0.002, 0.004, 0.01, 0.05]),
    st.sampled_from(Lane),
    st.lists(
        st.tuples(st.sampled_from(["police", "fire", "112"]), st.sampled_from([2, 9, 64, 1_000])),
        min_size=2,
        max_size=6,
    ),
    st.integers(20, 60),
)
RECOVERIES = st.builds(
    lambda moves, wait_s, tokens: [
        *(Report(move_s, "sms", True, wait_s) for move_s in moves),
        Report(0.5, "sms", False, None),
        *crowd(0.1, Lane.SEVERE, [("police", tokens)], 90),
    ],
    st.lists(st.sampled_from([1.0, 4.0]), min_size=1, max_size=6),
    st.sampled_from([None, 0.5]),
    st.integers(1, 110),
)


def meeting(moves_s: float, asks: list[tuple[Lane, int]]) -> list[Reserve | Report]:
    """One tenant's reservations in several lanes, close together."""
    return [Reserve(moves_s, "sms", lane, "police", "a", tokens, 1) for lane, tokens in asks]


#: Lanes that meet while what each of them reserved is still ahead.
MEETINGS = st.builds(
    meeting,
    st.sampled_from([0.0, 0.001, 0.004]),
    st.lists(
        st.tuples(st.sampled_from(Lane), st.sampled_from([1, 20, 1_000])),
        min_size=4,
        max_size=40,
    ),
)
SINGLES = st.one_of(RESERVES, RESERVES, RESERVES, REPORTS).map(lambda step: [step])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Rate], list[Reserve | Report]]:
    """Single steps, crowds, recoveries or lanes that meet, under rates that may change."""
    kind = draw(st.sampled_from(["singles", "crowds", "recoveries", "meetings"]))
    if kind == "singles":
        parts = draw(st.lists(SINGLES, min_size=1, max_size=60))
        rates = draw(st.lists(RATES, min_size=1, max_size=2))
    else:
        part = {"crowds": CROWDS, "recoveries": RECOVERIES, "meetings": MEETINGS}[kind]
        parts = draw(st.lists(st.one_of(part, SINGLES), min_size=1, max_size=4))
        rates = [Rate(draw(st.sampled_from([200.0, 1_000.0, 3_000.0])))]
    return rates, [step for part in parts for step in part]


#: Tried every time: where draws are not random the same ones miss the same rules for ever.
PUSHED_BACK = meeting(0.0, [(Lane.ROUTINE, 1_000), (Lane.EXTREME, 20), (Lane.ROUTINE, 20)])


@given(histories())
@example(([Rate(1_000)], PUSHED_BACK))
@settings(max_examples=size(80, 1_000))
async def test_any_sequence_matches_the_reference(
    engines: Engines, history: tuple[list[Rate], list[Reserve | Report]]
) -> None:
    rates, steps = history
    time = Time()
    reference = MemoryRateStore(time)
    with redis.Redis.from_url(engines.redis_url) as emptying:
        emptying.flushall()
    async with connect(engines.redis_url) as client:
        stores = {w: RedisRateStore(client, worker=w, now_s=time, timeout_s=60) for w in "abc"}
        for n, step in enumerate(steps):
            time.at += step.moves_s
            rate = rates[n * len(rates) // len(steps)]
            if isinstance(step, Report):
                said = {"throttled": step.throttled, "retry_after_s": step.retry_after_s}
                reference.note(step.sender, rate, **said)  # type: ignore[arg-type]
                await stores["a"].report(step.sender, rate, **said)  # type: ignore[arg-type]
                continue
            words = (step.sender, step.lane, step.tenant, step.tokens, rate)
            expected = reference.decide(*words, unit=step.unit, worker=step.worker)
            assert await stores[step.worker].reserve(*words, unit=step.unit) == expected

"""The rules of the attention budget, the same in memory and in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from budget_backends import (
    EXTREME,
    LIMITS,
    MINOR,
    MODERATE,
    ROUTINE,
    SEVERE,
    YES,
    Backend,
    asks,
    day,
    hour,
    memory_backend,
    redis_backend,
)

from alerting.domain.alert import Severity
from alerting.throttle.budget import LONGEST_WAIT_S, Ask, ClassLimit, Limits

HOUR_S, DAY_S = 3_600, 86_400


@pytest.fixture(params=["memory", "redis"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    if request.param == "memory":
        yield memory_backend()
        return
    async with redis_backend(request.getfixturevalue("redis_url")) as found:
        yield found


async def test_spacing_counts_interruptions_of_all_classes(backend: Backend) -> None:
    assert await backend.ask(MODERATE, MODERATE) == [YES, hour(600)]
    backend.time.at += 599
    assert await backend.ask(MODERATE) == [hour(5)]
    backend.time.at += 1
    assert await backend.ask(MODERATE) == [YES]


async def test_at_once_allows_a_burst(backend: Backend) -> None:
    backend.limits = replace(LIMITS, moderate=ClassLimit(3, 6), minor=ClassLimit(1, 24))
    assert await backend.ask(*[MODERATE] * 4) == [YES, YES, YES, hour(600)]
    assert await backend.ask(MINOR) == [hour(1_800)]


async def test_spacing_0_disables_spacing(backend: Backend) -> None:
    backend.limits = replace(LIMITS, spacing_s=0)
    assert await backend.ask(*[MODERATE] * 7) == [YES] * 6 + [day(14_400)]


async def test_class_has_daily_limit(backend: Backend) -> None:
    for _ in range(3):
        assert await backend.ask(MINOR) == [YES]
        backend.time.at += 600
    assert await backend.ask(MINOR) == [day(8 * HOUR_S - 1_800)]
    backend.time.at += 8 * HOUR_S - 1_800
    assert await backend.ask(MINOR, MINOR) == [YES, day(8 * HOUR_S)]


async def test_longer_wait_is_reported_when_both_refuse(backend: Backend) -> None:
    assert await backend.ask(ROUTINE, ROUTINE) == [YES, day(DAY_S)]
    backend.limits = Limits(14_400, ClassLimit(10, 6), ClassLimit(10, 24), ClassLimit(1, 24))
    assert await backend.ask(*[MODERATE] * 6, citizen=8) == [YES] * 6
    assert await backend.ask(*[MINOR] * 9, citizen=9) == [YES] * 9
    backend.limits = replace(backend.limits, minor=ClassLimit(1, 1))
    assert await backend.ask(MINOR, citizen=9) == [day(9 * 14_400)]


async def test_severer_message_uses_budget_of_lower_classes(backend: Backend) -> None:
    assert await backend.ask(SEVERE) == [YES]
    backend.time.at += 600
    assert await backend.ask(ROUTINE) == [day(DAY_S - 600)]
    assert await backend.ask(MINOR) == [YES]


async def test_lower_class_leaves_budget_of_higher_classes(
    backend: Backend,
) -> None:
    backend.limits = replace(LIMITS, spacing_s=0, moderate=ClassLimit(1, 1), minor=ClassLimit(1, 3))
    assert await backend.ask(MINOR, MINOR, MINOR, ROUTINE) == [YES, YES, YES, day(DAY_S)]
    assert await backend.ask(MODERATE, MODERATE) == [YES, day(DAY_S)]


@pytest.mark.parametrize("severity", [EXTREME, SEVERE])
async def test_severe_messages_always_pass_and_always_count(
    backend: Backend, severity: Severity
) -> None:
    assert await backend.ask(*[severity] * 50) == [YES] * 50
    assert await backend.ask(MODERATE) == [day(14_400)]
    assert await backend.ask(ROUTINE) == [day(DAY_S)]


async def test_storm_blocks_for_one_window_at_most(backend: Backend) -> None:
    await backend.ask(*[SEVERE] * 200)
    backend.time.at += DAY_S
    assert await backend.ask(ROUTINE) == [YES]


async def test_clock_set_back_blocks_for_one_window_at_most(
    backend: Backend,
) -> None:
    await backend.ask(*[SEVERE] * 9)
    backend.time.at -= 40 * DAY_S
    assert await backend.ask(MODERATE, ROUTINE) == [day(14_400), day(DAY_S)]
    backend.time.at += DAY_S
    assert await backend.ask(ROUTINE) == [day(DAY_S)]


@pytest.mark.parametrize("year", [1971, 2024, 2025, 2160])
async def test_any_year_works(backend: Backend, year: int) -> None:
    backend.time.at = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    assert await backend.ask(MODERATE, MODERATE) == [YES, hour(600)]
    backend.time.at += 600
    assert await backend.ask(MODERATE, ROUTINE) == [YES, day(DAY_S)]


async def test_shorter_spacing_applies_to_earlier_charges(backend: Backend) -> None:
    backend.limits = replace(LIMITS, spacing_s=14_400)
    await backend.ask(MODERATE)
    backend.limits = LIMITS
    assert await backend.ask(MODERATE) == [hour(600)]


async def test_citizens_have_separate_budgets(backend: Backend) -> None:
    neighbours = [6, 7, 8, 1_007, 1_000_007]
    assert await backend.ask(MODERATE, citizen=7) == [YES]
    answers = await backend.together("all", asks(neighbours))
    assert answers == [YES, hour(600), YES, YES, YES]


async def test_waits_are_whole_units_rounded_up(backend: Backend) -> None:
    await backend.ask(MODERATE)
    backend.time.at += 1.9
    assert await backend.ask(MODERATE) == [hour(600)]
    backend.time.at += 4
    assert await backend.ask(MODERATE) == [hour(595)]


async def test_longest_possible_wait_is_reported(backend: Backend) -> None:
    backend.limits = Limits(LONGEST_WAIT_S, *[ClassLimit(1, 100)] * 3)
    assert await backend.ask(SEVERE, MODERATE) == [YES, hour(LONGEST_WAIT_S)]


async def test_repeated_question_is_idempotent(backend: Backend) -> None:
    await backend.ask(MODERATE, citizen=2)
    backend.time.at += 60
    everyone = asks([3, 1, 2])
    first = await backend.together("flood", everyone)
    assert first == [YES, YES, hour(540)]
    backend.time.at += 5_000
    assert await backend.together("flood", everyone) == first
    assert await backend.together("flood", asks([2, 3])) == [hour(540), YES]
    assert await backend.together("flood", asks([4, 2, 1])) == [YES, hour(540), YES]
    assert await backend.together("next", asks([1, 2, 3])) == [YES, YES, YES]


async def test_occasion_is_remembered_for_a_day(backend: Backend) -> None:
    await backend.ask(MODERATE, citizen=2)
    refused = await backend.ask(MODERATE, citizen=2, occasion="flood")
    backend.time.at += DAY_S - 1
    assert await backend.ask(MODERATE, citizen=2, occasion="flood") == refused == [hour(600)]
    backend.time.at += 1
    assert await backend.ask(MODERATE, citizen=2, occasion="flood") == [YES]


async def test_late_question_extends_the_occasion(backend: Backend) -> None:
    await backend.ask(MODERATE, citizen=2)
    assert await backend.ask(MODERATE, citizen=2, occasion="flood") == [hour(600)]
    backend.time.at += DAY_S - 1
    await backend.ask(MODERATE, citizen=3, occasion="flood")
    backend.time.at += DAY_S - 1
    assert await backend.ask(MODERATE, citizen=2, occasion="flood") == [hour(600)]


async def test_two_phones_are_one_charge(backend: Backend) -> None:
    backend.limits = replace(LIMITS, moderate=ClassLimit(2, 6))
    assert await backend.together("flood", asks([5, 6, 5])) == [YES, YES, YES]
    assert await backend.ask(MODERATE, MODERATE, citizen=5) == [YES, hour(600)]


async def test_most_severe_of_one_call_counts(backend: Backend) -> None:
    await backend.ask(MODERATE)
    both = [Ask(7, MINOR), Ask(7, EXTREME)]
    assert await backend.together("flood", both) == [YES, YES]


async def test_refusal_never_blocks_a_severe_message(backend: Backend) -> None:
    await backend.ask(MODERATE)
    assert await backend.ask(MODERATE, occasion="flood") == [hour(600)]
    assert await backend.ask(EXTREME, occasion="flood") == [YES]
    assert await backend.ask(MODERATE, occasion="flood") == [YES]
    # Charged once by the Moderate one and once by the Extreme one.
    backend.limits = replace(LIMITS, spacing_s=0)
    assert await backend.ask(*[MODERATE] * 5) == [YES] * 4 + [day(14_400)]


async def test_thousands_across_shards_in_one_call(backend: Backend) -> None:
    everyone = [*range(2_500), *range(10_000, 300_000, 997), *range(999_000, 1_000_900, 3)]
    assert set(await backend.together("flood", asks(everyone))) == {YES}
    assert await backend.together("next", asks(everyone)) == [hour(600)] * len(everyone)


async def test_empty_question_has_empty_answer(backend: Backend) -> None:
    assert await backend.together("flood", []) == []


@pytest.mark.parametrize(("at_once", "per_day"), [(0, 1), (1, 0), (1, DAY_S + 1)])
def test_bad_class_is_refused(at_once: int, per_day: int) -> None:
    with pytest.raises(ValueError, match="at_once is at least 1"):
        ClassLimit(at_once, per_day)


@pytest.mark.parametrize("spacing_s", [-1, LONGEST_WAIT_S + 1])
def test_bad_spacing_is_refused(spacing_s: int) -> None:
    with pytest.raises(ValueError, match="spacing_s"):
        replace(LIMITS, spacing_s=spacing_s)

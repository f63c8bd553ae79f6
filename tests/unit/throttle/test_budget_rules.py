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
async def world(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    if request.param == "memory":
        yield memory_backend()
        return
    async with redis_backend(request.getfixturevalue("redis_url")) as found:
        yield found


async def test_interruptions_of_all_classes_are_spaced(world: Backend) -> None:
    assert await world.ask(MODERATE, MODERATE) == [YES, hour(600)]
    world.time.at += 599
    assert await world.ask(MODERATE) == [hour(5)]
    world.time.at += 1
    assert await world.ask(MODERATE) == [YES]


async def test_more_at_once_may_follow_one_another(world: Backend) -> None:
    world.limits = replace(LIMITS, moderate=ClassLimit(3, 6), minor=ClassLimit(1, 24))
    assert await world.ask(*[MODERATE] * 4) == [YES, YES, YES, hour(600)]
    assert await world.ask(MINOR) == [hour(1_800)]


async def test_spacing_0_spaces_nothing(world: Backend) -> None:
    world.limits = replace(LIMITS, spacing_s=0)
    assert await world.ask(*[MODERATE] * 7) == [YES] * 6 + [day(14_400)]


async def test_a_class_has_its_day(world: Backend) -> None:
    for _ in range(3):
        assert await world.ask(MINOR) == [YES]
        world.time.at += 600
    assert await world.ask(MINOR) == [day(8 * HOUR_S - 1_800)]
    world.time.at += 8 * HOUR_S - 1_800
    assert await world.ask(MINOR, MINOR) == [YES, day(8 * HOUR_S)]


async def test_the_day_is_told_where_both_refuse_with_the_longer_wait(world: Backend) -> None:
    assert await world.ask(ROUTINE, ROUTINE) == [YES, day(DAY_S)]
    world.limits = Limits(14_400, ClassLimit(10, 6), ClassLimit(10, 24), ClassLimit(1, 24))
    assert await world.ask(*[MODERATE] * 6, citizen=8) == [YES] * 6
    assert await world.ask(*[MINOR] * 9, citizen=9) == [YES] * 9
    world.limits = replace(world.limits, minor=ClassLimit(1, 1))
    assert await world.ask(MINOR, citizen=9) == [day(9 * 14_400)]


async def test_a_graver_message_uses_up_the_room_of_lesser_ones(world: Backend) -> None:
    assert await world.ask(SEVERE) == [YES]
    world.time.at += 600
    assert await world.ask(ROUTINE) == [day(DAY_S - 600)]
    assert await world.ask(MINOR) == [YES]


async def test_a_lesser_message_takes_nothing_from_the_day_of_a_graver_class(
    world: Backend,
) -> None:
    world.limits = replace(LIMITS, spacing_s=0, moderate=ClassLimit(1, 1), minor=ClassLimit(1, 3))
    assert await world.ask(MINOR, MINOR, MINOR, ROUTINE) == [YES, YES, YES, day(DAY_S)]
    assert await world.ask(MODERATE, MODERATE) == [YES, day(DAY_S)]


@pytest.mark.parametrize("severity", [EXTREME, SEVERE])
async def test_grave_messages_always_pass_and_always_count(
    world: Backend, severity: Severity
) -> None:
    assert await world.ask(*[severity] * 50) == [YES] * 50
    assert await world.ask(MODERATE) == [day(14_400)]
    assert await world.ask(ROUTINE) == [day(DAY_S)]


async def test_a_storm_blocks_nobody_for_longer_than_one_window(world: Backend) -> None:
    await world.ask(*[SEVERE] * 200)
    world.time.at += DAY_S
    assert await world.ask(ROUTINE) == [YES]


async def test_a_clock_that_steps_back_blocks_nobody_for_longer_than_one_window(
    world: Backend,
) -> None:
    await world.ask(*[SEVERE] * 9)
    world.time.at -= 40 * DAY_S
    assert await world.ask(MODERATE, ROUTINE) == [day(14_400), day(DAY_S)]
    world.time.at += DAY_S
    assert await world.ask(ROUTINE) == [day(DAY_S)]


@pytest.mark.parametrize("year", [1971, 2024, 2025, 2160])
async def test_any_year_will_do(world: Backend, year: int) -> None:
    world.time.at = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    assert await world.ask(MODERATE, MODERATE) == [YES, hour(600)]
    world.time.at += 600
    assert await world.ask(MODERATE, ROUTINE) == [YES, day(DAY_S)]


async def test_a_shorter_spacing_applies_to_what_was_charged_before(world: Backend) -> None:
    world.limits = replace(LIMITS, spacing_s=14_400)
    await world.ask(MODERATE)
    world.limits = LIMITS
    assert await world.ask(MODERATE) == [hour(600)]


async def test_citizens_have_budgets_of_their_own(world: Backend) -> None:
    neighbours = [6, 7, 8, 1_007, 1_000_007]
    assert await world.ask(MODERATE, citizen=7) == [YES]
    answers = await world.together("all", asks(neighbours))
    assert answers == [YES, hour(600), YES, YES, YES]


async def test_waits_are_whole_units_and_never_too_short(world: Backend) -> None:
    await world.ask(MODERATE)
    world.time.at += 1.9
    assert await world.ask(MODERATE) == [hour(600)]
    world.time.at += 4
    assert await world.ask(MODERATE) == [hour(595)]


async def test_the_longest_wait_there_may_be_is_told(world: Backend) -> None:
    world.limits = Limits(LONGEST_WAIT_S, *[ClassLimit(1, 100)] * 3)
    assert await world.ask(SEVERE, MODERATE) == [YES, hour(LONGEST_WAIT_S)]


async def test_asking_again_charges_nothing_and_answers_the_same(world: Backend) -> None:
    await world.ask(MODERATE, citizen=2)
    world.time.at += 60
    everyone = asks([3, 1, 2])
    first = await world.together("flood", everyone)
    assert first == [YES, YES, hour(540)]
    world.time.at += 5_000
    assert await world.together("flood", everyone) == first
    assert await world.together("flood", asks([2, 3])) == [hour(540), YES]
    assert await world.together("flood", asks([4, 2, 1])) == [YES, hour(540), YES]
    assert await world.together("next", asks([1, 2, 3])) == [YES, YES, YES]


async def test_an_occasion_is_remembered_for_a_day(world: Backend) -> None:
    await world.ask(MODERATE, citizen=2)
    refused = await world.ask(MODERATE, citizen=2, occasion="flood")
    world.time.at += DAY_S - 1
    assert await world.ask(MODERATE, citizen=2, occasion="flood") == refused == [hour(600)]
    world.time.at += 1
    assert await world.ask(MODERATE, citizen=2, occasion="flood") == [YES]


async def test_a_late_comer_keeps_the_occasion_for_all(world: Backend) -> None:
    await world.ask(MODERATE, citizen=2)
    assert await world.ask(MODERATE, citizen=2, occasion="flood") == [hour(600)]
    world.time.at += DAY_S - 1
    await world.ask(MODERATE, citizen=3, occasion="flood")
    world.time.at += DAY_S - 1
    assert await world.ask(MODERATE, citizen=2, occasion="flood") == [hour(600)]


async def test_two_phones_are_one_charge_and_one_answer(world: Backend) -> None:
    world.limits = replace(LIMITS, moderate=ClassLimit(2, 6))
    assert await world.together("flood", asks([5, 6, 5])) == [YES, YES, YES]
    assert await world.ask(MODERATE, MODERATE, citizen=5) == [YES, hour(600)]


async def test_of_two_severities_in_one_call_the_gravest_counts(world: Backend) -> None:
    await world.ask(MODERATE)
    both = [Ask(7, MINOR), Ask(7, EXTREME)]
    assert await world.together("flood", both) == [YES, YES]


async def test_a_refusal_never_stands_in_the_way_of_a_grave_message(world: Backend) -> None:
    await world.ask(MODERATE)
    assert await world.ask(MODERATE, occasion="flood") == [hour(600)]
    assert await world.ask(EXTREME, occasion="flood") == [YES]
    assert await world.ask(MODERATE, occasion="flood") == [YES]
    # Charged once by the Moderate one and once by the Extreme one.
    world.limits = replace(LIMITS, spacing_s=0)
    assert await world.ask(*[MODERATE] * 5) == [YES] * 4 + [day(14_400)]


async def test_many_buckets_shards_and_thousands_in_one_call(world: Backend) -> None:
    everyone = [*range(2_500), *range(10_000, 300_000, 997), *range(999_000, 1_000_900, 3)]
    assert set(await world.together("flood", asks(everyone))) == {YES}
    assert await world.together("next", asks(everyone)) == [hour(600)] * len(everyone)


async def test_nobody_to_ask_for(world: Backend) -> None:
    assert await world.together("flood", []) == []


@pytest.mark.parametrize(("at_once", "per_day"), [(0, 1), (1, 0), (1, DAY_S + 1)])
def test_a_class_without_sense_is_refused(at_once: int, per_day: int) -> None:
    with pytest.raises(ValueError, match="at_once is at least 1"):
        ClassLimit(at_once, per_day)


@pytest.mark.parametrize("spacing_s", [-1, LONGEST_WAIT_S + 1])
def test_a_spacing_without_sense_is_refused(spacing_s: int) -> None:
    with pytest.raises(ValueError, match="spacing_s"):
        replace(LIMITS, spacing_s=spacing_s)

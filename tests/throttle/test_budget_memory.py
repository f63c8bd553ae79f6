"""The budget in memory forgets what is over."""

from __future__ import annotations

from budget_worlds import LIMITS, MODERATE, Time, asks

from alerting.throttle.budget.memory import MemoryBudget


def test_weeks_of_alerts_leave_no_more_than_two_days_of_them() -> None:
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


def test_what_is_not_over_is_kept_however_much_comes() -> None:
    time = Time()
    budget = MemoryBudget(time)
    budget.decide("first", asks([1]), LIMITS)
    for n in range(10):
        budget.decide(f"alert {n}", asks(range(2, 7_000)), LIMITS)
        budget.decide(f"other {n}", asks(range(n * 10**7, (n + 1) * 10**7, 2_000)), LIMITS)
    (answer,) = budget.decide("second", asks([1]), LIMITS)
    assert not answer.admitted
    assert budget.decide("first", asks([1]), LIMITS)[0].admitted


async def test_it_answers_at_once_whatever_the_timeout() -> None:
    budget = MemoryBudget(Time())
    assert (await budget.ask("flood", asks([1], MODERATE), LIMITS, timeout_s=0))[0].admitted

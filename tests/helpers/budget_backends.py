"""Budgets to test against: a clock that tests move, and figures that are easy to reckon with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis

from alerting.domain.alert import Severity
from alerting.throttle.budget import Answer, Ask, Budget, ClassLimit, Limits, Window
from alerting.throttle.budget.memory_budget import MemoryBudget
from alerting.throttle.budget.redis_budget import RedisBudget, connect

#: 10 minutes between any two; 6 Moderate, 3 Minor and 1 routine a day.
LIMITS = Limits(600, ClassLimit(1, 6), ClassLimit(1, 3), ClassLimit(1, 1))

EXTREME, SEVERE = Severity.EXTREME, Severity.SEVERE
MODERATE, MINOR, ROUTINE = Severity.MODERATE, Severity.MINOR, Severity.UNKNOWN

YES = Answer(True, Window.NONE, 0)


def hour(wait_s: int) -> Answer:
    return Answer(False, Window.HOUR, wait_s)


def day(wait_s: int) -> Answer:
    return Answer(False, Window.DAY, wait_s)


@dataclass
class Time:
    """Seconds since 1970 that stand still until moved."""

    at: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Backend:
    """One budget and its clock. Every ask is an occasion of its own unless it is named."""

    budget: Budget
    time: Time = field(default_factory=Time)
    limits: Limits = LIMITS
    asked: int = 0

    async def ask(
        self, *severities: Severity, citizen: int = 7, occasion: str | None = None
    ) -> list[Answer]:
        """One after another, each an occasion of its own unless it is named."""
        answers = []
        for severity in severities:
            self.asked += 1
            name = occasion or f"occasion {self.asked}"
            answers += await self.budget.ask(name, [Ask(citizen, severity)], self.limits)
        return answers

    async def together(self, occasion: str, asks: Sequence[Ask]) -> list[Answer]:
        return await self.budget.ask(occasion, asks, self.limits)


def memory_backend() -> Backend:
    time = Time()
    return Backend(MemoryBudget(time), time)


@asynccontextmanager
async def redis_backend(url: str) -> AsyncIterator[Backend]:
    async with connect(url) as client:
        time = Time()
        yield Backend(RedisBudget(client, now_s=time, timeout_s=60), time)


def asks(citizens: Sequence[int], severity: Severity = MODERATE) -> list[Ask]:
    return [Ask(citizen, severity) for citizen in citizens]


async def budget_keys(client: Redis) -> list[bytes]:
    """The keys of records, without those of verdicts."""
    return [key async for key in client.scan_iter("alerting:*") if key.count(b":") == 2]

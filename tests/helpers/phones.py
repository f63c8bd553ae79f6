"""Phones that take everything, and a worker that sends to them."""

from __future__ import annotations

import time
from typing import Any

from dispatch_harness import ManualWorker, OrderedPrecedence
from served import Served

from alerting.channels.base import Outcome
from alerting.channels.spec import Provider
from alerting.dispatch.alarms import Alarms
from alerting.domain.lane import Lane
from alerting.providers.failover import Routes
from alerting.providers.rate.limiter import RateLimiter
from alerting.providers.rate.memory_rates import MemoryRateStore
from alerting.throttle.budget.memory_budget import MemoryBudget
from alerting.worker import make_worker, precedence_of


class Phones:
    """A channel that takes everything."""

    name = "sms"
    concurrency = 8
    can_be_silent = False

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def send(self, message: Any) -> Outcome:
        return Outcome(message.delivery_id, provider_ref="ok")


async def work(served: Served) -> None:
    """Let a worker do what waits."""
    run = served.runtime
    budget = MemoryBudget(lambda: run.clock.now().timestamp())
    policies, alarms = run.policies(), Alarms(run.db)
    limiter = RateLimiter(MemoryRateStore(time.monotonic))
    routes = Routes(
        {"sms": (Provider("sms.1", Phones()),)}, run.sender_rates(limiter, policies), alarms
    )
    precedence = precedence_of(OrderedPrecedence, run, tuple(Lane))
    evaluator = run.evaluator(policies, budget)
    await make_worker(ManualWorker, run, routes, evaluator, precedence).sweep()
    await alarms.drain()

"""Phones that take everything, and a worker that sends to them."""

from __future__ import annotations

import time
from typing import Any

from dispatch_harness import Hand, Politeness
from served import Served

from alerting.channels.base import Outcome
from alerting.channels.spec import Provider
from alerting.dispatch.alarms import Alarms
from alerting.dispatch.chunks.deliver import Deliverer
from alerting.dispatch.plan import Planner
from alerting.dispatch.rates import by_policy
from alerting.domain.lane import Lane
from alerting.providers.failover import Routes
from alerting.providers.rate.limiter import RateLimiter
from alerting.providers.rate.memory_rates import MemoryRateStore
from alerting.providers.rate.senders import SenderRates
from alerting.throttle.budget.memory_budget import MemoryBudget


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
    settings = run.settings
    budget = MemoryBudget(lambda: run.clock.now().timestamp())
    rates = SenderRates(
        RateLimiter(MemoryRateStore(time.monotonic)), by_policy(run.policies()), patience_s=10
    )
    alarms = Alarms(run.db)
    deliverer = Deliverer(
        run.db,
        run.clock,
        Routes({"sms": (Provider("sms.1", Phones()),)}, rates, alarms),
        run.evaluator(run.policies(), budget),
        run.links,
        settings,
    )
    planner = Planner(run.db, run.clock, run.notifier, settings)
    precedence = Politeness(run.db, tuple(Lane), stretch_s=settings.lease_s / 3)
    await Hand(
        run.db, run.clock, planner, deliverer, run.maintenance(), settings, precedence
    ).sweep()
    await alarms.drain()

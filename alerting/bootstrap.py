"""The composition root: finds the engines, opens them and passes them to the parts that use
them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from alerting.addresses import broker_url as broker_url
from alerting.addresses import database_url as database_url
from alerting.addresses import redis_url as redis_url
from alerting.background import background_task
from alerting.clock import Clock, SteadyClock, SystemClock
from alerting.dispatch.broker import WorkNotifier
from alerting.domain.links import Links, new_key
from alerting.drills import rosters
from alerting.embedded.carriers.identity import SANDBOX_ACCOUNT, SANDBOX_TOKEN
from alerting.errors import Unavailable
from alerting.settings import Settings
from alerting.store.admin.secrets import BOUNCE_KEY, get_or_create
from alerting.store.db import AWAY, Database, server_now

if TYPE_CHECKING:
    from alerting.channels.spec import Provider, Sandbox
    from alerting.dispatch.alarms import Alarms
    from alerting.dispatch.documents import Documents
    from alerting.dispatch.evaluation.chunk_evaluator import ChunkEvaluator
    from alerting.dispatch.evaluation.policies import PolicyCache
    from alerting.dispatch.prune import Pruner
    from alerting.dispatch.workers.maintenance import Maintenance
    from alerting.providers.breaker import Breaker
    from alerting.providers.failover import Routes
    from alerting.providers.rate.limiter import RateLimiter
    from alerting.providers.rate.senders import SenderRates
    from alerting.throttle.budget import Budget

#: How often PostgreSQL is asked for the time.
_ASK_CLOCK_S = 30.0

#: Memory for budgets that only one process counts. A process has two of them, beside the 185 MB of
#: a busy worker.
_OWN_BUDGET_BYTES = 5_000_000


def _push_key() -> bytes:
    from alerting.channels.push.vapid import generate

    return generate()


def _degree(breaker: Breaker) -> float:
    """How far it is open: 0 closed, 1 half-open, 2 open."""
    return {"CLOSED": 0, "HALF_OPEN": 1, "OPEN": 2}[breaker.state.name]


def stand_ins(settings: Settings) -> Sandbox | None:
    """Where the sandbox's carriers are; None where real ones are called."""
    from alerting.channels.spec import Sandbox

    if settings.carriers != "sandbox":
        return None
    return Sandbox(
        host=settings.local_host,
        http_port=settings.sandbox_port,
        smtp_port=settings.sandbox_smtp_port,
        account=SANDBOX_ACCOUNT,
        token=SANDBOX_TOKEN,
    )


@asynccontextmanager
async def _kept_right(db: Database) -> AsyncIterator[Clock]:
    """PostgreSQL's clock, read again from time to time while the block lasts."""
    async with db.begin() as connection:
        clock = SteadyClock(await server_now(connection))

    async def ask() -> None:
        while True:
            await asyncio.sleep(_ASK_CLOCK_S)
            with suppress(*AWAY):
                async with db.begin() as connection:
                    clock.set(await server_now(connection))

    async with background_task(ask()):
        yield clock


@dataclass(frozen=True)
class Runtime:
    """Everything a process needs, open on its event loop.

    Senders and maintenance are imported on demand: a command that asks the database one thing must
    answer at once. Workers import them before they fork (`alerting.worker`).

    machine_clock: This machine's, which maintenance compares with PostgreSQL's; None compares
        nothing.
    """

    settings: Settings
    db: Database
    clock: Clock
    notifier: WorkNotifier
    links: Links
    vapid: bytes
    bounce_key: bytes
    drill_key: bytes
    machine_clock: Clock | None = field(default_factory=SystemClock)

    @staticmethod
    @asynccontextmanager
    async def open(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Runtime]:
        """Open the database and the notifier; create the secrets that a first start lacks.

        A broker that does not answer is not an error: workers find work without it.

        Raises:
            Unavailable: When the database does not answer.
        """
        async with AsyncExitStack() as stack:
            db = Database(database_url(settings))
            stack.push_async_callback(db.close)
            async with db.begin() as connection:
                link_key = await get_or_create(connection, "link", new_key)
                vapid = await get_or_create(connection, "vapid", _push_key)
                bounce_key = await get_or_create(connection, BOUNCE_KEY, new_key)
                drill_key = await rosters.key(connection)
            notifier = WorkNotifier(broker_url(settings))
            stack.callback(notifier.close)
            links = Links(link_key)
            if clock is None:
                clock = await stack.enter_async_context(_kept_right(db))
            yield Runtime(settings, db, clock, notifier, links, vapid, bounce_key, drill_key)

    @staticmethod
    def of(app: Any) -> Runtime:
        """The runtime an HTTP application opened when it started (`app.state.runtime`)."""
        found = app.state.runtime
        if not isinstance(found, Runtime):
            raise TypeError("the application was not started with a Runtime")
        return found

    @property
    def twilio_tokens(self) -> tuple[str, ...]:
        """The clients that verify Twilio's callbacks, one per account: the sandbox's in sandbox
        mode, none without an account."""
        if self.settings.carriers == "sandbox":
            return (SANDBOX_TOKEN,)
        return tuple(a.token for a in self.settings.twilio_accounts if a.token)

    @cached_property
    def documents(self) -> Documents:
        """One for the whole process: a document is parsed once."""
        from alerting.dispatch.documents import Documents

        return Documents()

    def providers(self, alarms: Alarms) -> dict[str, tuple[Provider, ...]]:
        """The providers of every channel in order of preference; none is open yet."""
        from alerting.channels import registry
        from alerting.channels.spec import Setup
        from alerting.dispatch.alarms import refused_drill

        setup = Setup(self.settings, self.vapid, self.bounce_key, stand_ins(self.settings))
        return registry.build(
            setup, drill_key=self.drill_key, refused=partial(refused_drill, alarms)
        )

    def policies(self, *, max_age_s: float = 5) -> PolicyCache:
        """The policy in force, read again when it is older than `max_age_s`."""
        from alerting.dispatch.evaluation.policies import PolicyCache

        return PolicyCache(self.db, max_age_s=max_age_s, clock=self.clock)

    def evaluator(
        self, policies: PolicyCache, budget: Budget, *, shadow_budget: Budget | None = None
    ) -> ChunkEvaluator:
        """Evaluates chunks.

        budget: The citizens' budgets that all workers share.
        shadow_budget: The budgets that a shadow policy spends; without one this process counts them
            for itself.
        """
        from alerting.dispatch.evaluation.chunk_evaluator import ChunkEvaluator
        from alerting.throttle.budget.memory_budget import MemoryBudget

        if shadow_budget is None:
            shadow_budget = MemoryBudget(self._now_s, most_bytes=_OWN_BUDGET_BYTES)
        return ChunkEvaluator(
            self.db,
            self.clock,
            policies,
            budget=budget,
            fallback=MemoryBudget(self._now_s, most_bytes=_OWN_BUDGET_BYTES),
            shadow_budget=shadow_budget,
            documents=self.documents,
        )

    def _now_s(self) -> float:
        return self.clock.now().timestamp()

    def maintenance(
        self, *, wait_for_higher_priority: Callable[[], Awaitable[None]] | None = None
    ) -> Maintenance:
        """See `Maintenance` for wait_for_higher_priority."""
        from alerting.channels.staff import staff
        from alerting.dispatch.workers.maintenance import Maintenance

        return Maintenance(
            self.db,
            self.clock,
            self.notifier,
            self.settings,
            machine_clock=self.machine_clock,
            documents=self.documents,
            staff=staff(self.settings, sandbox=stand_ins(self.settings)),
            wait_for_higher_priority=wait_for_higher_priority,
        )

    def pruner(self) -> Pruner:
        from alerting.dispatch.prune import Pruner

        return Pruner(self.db, self.clock, gentle=True, machine=self.machine_clock)

    def sender_rates(self, limiter: RateLimiter, policies: PolicyCache) -> SenderRates:
        """What providers may be called by: the live policy's rates, counted by `limiter`."""
        from alerting.dispatch.rates import by_policy
        from alerting.providers.rate.senders import SenderRates

        # Nobody waits for a permit until the lease is over.
        return SenderRates(limiter, by_policy(policies), patience_s=self.settings.lease_s / 3)

    @asynccontextmanager
    async def routes(self) -> AsyncIterator[Routes]:
        """Every channel's providers, opened on the running loop and closed with the block."""
        from alerting.dispatch.alarms import Alarms
        from alerting.providers.cooldown import CooldownStore, CooldownSync
        from alerting.providers.failover import Routes
        from alerting.providers.penalty import REVIEW_EVERY_S, Penalties
        from alerting.providers.rate.limiter import RateLimiter
        from alerting.providers.rate.redis_rates import RedisRateStore
        from alerting.throttle.budget.redis_budget import connect

        async with AsyncExitStack() as stack:
            alarms = Alarms(self.db)
            stack.push_async_callback(alarms.drain)
            built = self.providers(alarms)
            for provider in (p for several in built.values() for p in several):
                await provider.channel.open()
                stack.push_async_callback(provider.channel.close)
            redis = connect(redis_url(self.settings))
            stack.push_async_callback(redis.aclose)
            limiter = RateLimiter(RedisRateStore(redis))
            stack.push_async_callback(limiter.close)
            names = {channel: [p.name for p in several] for channel, several in built.items()}
            cooldowns = CooldownStore(redis)

            async def elected() -> bool:
                try:
                    return await cooldowns.elected("preference", REVIEW_EVERY_S)
                except Unavailable:
                    return True

            penalties = Penalties(self.db, self.clock, alarms, names, elected)
            await stack.enter_async_context(penalties.running())
            sync = CooldownSync(cooldowns)
            routes = Routes(
                built,
                self.sender_rates(limiter, self.policies()),
                alarms,
                penalties=penalties.current,
                cooldown_changed=sync.changed,
            )
            await stack.enter_async_context(sync.running(routes.breakers))
            # Only processes that send are measured; commands need not load it.
            from alerting.observe.metrics import BREAKER

            for name, breaker in routes.breakers.items():
                BREAKER.labels(name).set_function(partial(_degree, breaker))
            yield routes

"""A small town: the parts of dispatch, put together as a process puts them together, with a clock,
channels and counters of the test's own."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from alerting.audience.synthetic import SyntheticCitizen
from alerting.bootstrap import Runtime
from alerting.cap import from_json, read, to_xml
from alerting.channels import registry
from alerting.channels.base import Channel, Outcome, Outgoing
from alerting.channels.drill_wall import walled
from alerting.channels.spec import Provider
from alerting.clock import ManualClock
from alerting.demo.judge import Told, expected_audience
from alerting.dispatch.alarms import Alarms, refused_drill
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.evaluation.chunk_evaluator import ChunkEvaluator
from alerting.dispatch.evaluation.policies import PolicyCache
from alerting.dispatch.intake.submit import Submitted, submit
from alerting.dispatch.workers.maintenance import Maintenance
from alerting.dispatch.workers.precedence import Precedence
from alerting.dispatch.workers.work import Worker
from alerting.domain.alert import MsgType
from alerting.domain.lane import Lane
from alerting.domain.links import Links
from alerting.domain.principal import internal
from alerting.providers.breaker import Limits
from alerting.providers.failover import Routes
from alerting.providers.rate.limiter import RateLimiter
from alerting.providers.rate.memory_rates import MemoryRateStore
from alerting.providers.rate.senders import SenderRates
from alerting.settings import Settings
from alerting.store.alerts import stored_alerts
from alerting.store.db import Database
from alerting.store.ledger import delivery_queries
from alerting.store.schema import outbox
from alerting.store.work import queues
from alerting.store.work.outbox import PLAN, Work
from alerting.throttle.budget import Budget
from alerting.throttle.budget.memory_budget import MemoryBudget
from alerting.worker import make_worker, precedence_of


@dataclass
class Recorder:
    """A channel that writes down what it is asked to send and answers as it is told."""

    name: str
    concurrency: int = 16
    can_be_silent: bool = False
    sent: list[Outgoing] = field(default_factory=list)
    answer: Callable[[Outgoing], Outcome] = lambda m: Outcome(m.delivery_id, provider_ref="ok")

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def send(self, message: Outgoing) -> Outcome:
        self.sent.append(message)
        await asyncio.sleep(0)
        return self.answer(message)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what PostgreSQL or another task does."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - raises no event here
            await asyncio.sleep(0.01)


class OrderedPrecedence(Precedence):
    """Yields as in production until `in_order` is set; then work is done strictly in its order."""

    in_order = False
    #: Awaited before each batch of a plan.
    before_batch: Callable[[Work], Awaitable[None]] | None = None

    def must_yield(self, work: Work) -> bool:
        return not self.in_order and super().must_yield(work)

    async def make_room(self, plan: Work) -> None:
        if self.before_batch is not None:
            await self.before_batch(plan)
        if not self.in_order:
            await super().make_room(plan)


class ManualWorker(Worker):
    """A worker that works only when a test calls it."""

    _precedence: OrderedPrecedence

    async def sweep_in_order(self) -> None:
        """Like `sweep`, one row after the other and never yielding: always with one result."""
        self._precedence.in_order = True
        while await self._did_one():
            pass

    async def _did_one(self) -> bool:
        await self.recover()
        # One question for all queues, of which hardly any has something.
        due = (outbox.c.state == "ready") & (outbox.c.not_before <= func.now())
        async with self._db.begin() as c:
            rows = await c.execute(select(outbox.c.lane, outbox.c.channel).where(due).distinct())
            queued = {(lane, channel) for lane, channel in rows}
        for lane in self._precedence.lanes:
            for channel in (PLAN, *registry.names()):
                if (lane, channel) not in queued:
                    continue
                room = [(lane, channel, math.inf)]
                for work in await queues.claim(self._db, room, owner=self._owner, lease_s=60):
                    await self._do(work)
                    return True
        return False

    async def sweep(self) -> int:
        """Do all that is due, of dead workers too; returns how many rows that was.

        Raises CancelledError where a send raised it: the worker has died there.
        """
        count = 0
        while True:
            await self.recover()
            found = await self.fill()
            tasks = list(self._running)
            await self.finish()
            if any(task.cancelled() for task in tasks):
                raise asyncio.CancelledError
            if not found:
                return count
            count += found


@dataclass
class DispatchHarness:
    """Dispatch over one database, with a clock of its own and no worker that is notified.

    drill_key: where given, the wall of drills stands around every channel.
    """

    db: Database
    clock: ManualClock
    notifier: WorkNotifier
    settings: Settings
    channels: dict[str, Recorder]
    citizens: list[SyntheticCitizen]
    budget: Budget = field(init=False)
    shadow_budget: Budget = field(init=False)
    limiters: list[RateLimiter] = field(default_factory=list)
    notified: list[Alarms] = field(default_factory=list)
    drill_key: bytes | None = None

    def __post_init__(self) -> None:
        self.budget = MemoryBudget(self._now_s)
        self.shadow_budget = MemoryBudget(self._now_s)

    def worker(
        self,
        *lanes: Lane,
        budget: Budget | None = None,
        owner: str = "",
        stopping: Callable[[], bool] = lambda: False,
        before_batch: Callable[[Work], Awaitable[None]] | None = None,
    ) -> ManualWorker:
        run = self.runtime()
        lanes = lanes or tuple(Lane)
        precedence = precedence_of(OrderedPrecedence, run, lanes, stopping=stopping)
        precedence.before_batch = before_batch
        return make_worker(
            ManualWorker,
            run,
            self.routes(),
            self.evaluator(budget, run),
            precedence,
            owner=owner,
            stopping=stopping,
        )

    def runtime(self) -> Runtime:
        """A process's own."""
        return Runtime(
            self.settings,
            self.db,
            self.clock,
            self.notifier,
            Links(b"k" * 32),
            vapid=b"",
            bounce_key=b"",
            drill_key=self.drill_key or b"",
            # The test's clock may be of any time.
            machine_clock=None,
        )

    async def claim(self, owner: str, *, lease_s: float = 30, lane: Lane = Lane.SEVERE) -> Work:
        """Claim the lane's plan, or its first chunk of the first channel that has one."""
        for channel in (PLAN, *registry.names()):
            room = [(lane, channel, math.inf)]
            for work in await queues.claim(self.db, room, owner=owner, lease_s=lease_s):
                return work
        raise AssertionError("nothing waits")

    async def claim_one(self, id_: int, owner: str, *, lease_s: float = 30) -> Work | None:
        """Claim this row, should its owner be dead; None when it is done or another's."""
        await queues.recover(self.db, [])
        async with self.db.begin() as c:
            return await queues.claim_one(c, id_, owner=owner, lease_s=lease_s)

    async def work_on(self, id_: int) -> None:
        """Let a worker do this row, whatever comes before it."""
        work = await self.claim_one(id_, "test")
        assert work is not None
        await self.worker()._do(work)

    def evaluator(
        self, budget: Budget | None = None, runtime: Runtime | None = None
    ) -> ChunkEvaluator:
        run = runtime or self.runtime()
        return run.evaluator(
            self.policies(),
            self.budget if budget is None else budget,
            shadow_budget=self.shadow_budget,
        )

    def policies(self) -> PolicyCache:
        return self.runtime().policies(max_age_s=0)

    def routes(self) -> Routes:
        """One provider a channel, with a breaker that never opens."""
        never = Limits(few=10**9, many=10**9, slow_s=1e9)
        alarms = self.alarms()
        channels: dict[str, Channel] = dict(self.channels)
        if self.drill_key is not None:
            refused = partial(refused_drill, alarms)
            channels = {n: walled(c, self.drill_key, refused) for n, c in channels.items()}
        providers = {name: (Provider(f"{name}.1", c),) for name, c in channels.items()}
        return Routes(providers, self.rates(), alarms, limits=never)

    def rates(self) -> SenderRates:
        # A limiter listens until it is closed; one that is forgotten ends in some other test.
        self.limiters.append(RateLimiter(MemoryRateStore(time.monotonic)))
        return self.runtime().sender_rates(self.limiters[-1], self.policies())

    def alarms(self) -> Alarms:
        self.notified.append(Alarms(self.db))
        return self.notified[-1]

    async def close(self) -> None:
        """End what was begun here; the database stays open."""
        while self.limiters:
            await self.limiters.pop().close()
        while self.notified:
            await self.notified.pop().drain()

    async def code(self, alert_id: UUID) -> str:
        """What names an alert in the links of its messages."""
        async with self.db.begin() as c:
            stored = await stored_alerts.get(c, alert_id)
        assert stored is not None
        assert stored.code
        return stored.code

    def maintenance(
        self, *, wait_for_higher_priority: Callable[[], Awaitable[None]] | None = None
    ) -> Maintenance:
        return self.runtime().maintenance(wait_for_higher_priority=wait_for_higher_priority)

    def begin_at(self, at: datetime) -> None:
        """Begin anew at this time, with fresh budgets and with channels as they are in earnest: a
        push can be silent."""
        self.clock = ManualClock(at)
        self.__post_init__()
        self.channels = {n: Recorder(n, can_be_silent=n != "sms") for n in self.channels}

    def _now_s(self) -> float:
        return self.clock.now().timestamp()

    async def submit(self, data: bytes, **options: object) -> Submitted:
        values: dict[str, object] = {"principal": internal("test"), "now": True} | options
        return await submit(self.db, data, clock=self.clock, notifier=self.notifier, **values)  # type: ignore[arg-type]

    def expected(self, data: bytes) -> set[Told]:
        """Who should be told, by plain geometry."""
        alert = read(data).alerts[0]
        return expected_audience(alert, self.citizens, all_channels=False)

    async def cancel_of(self, alert_id: UUID) -> bytes:
        """A Cancel, sent now, of a stored alert."""
        async with self.db.begin() as connection:
            stored = await stored_alerts.get(connection, alert_id)
        assert stored is not None
        alert = from_json(stored.document)
        return to_xml(
            replace(
                alert,
                identifier=f"{alert.identifier}-cancel",
                sent=self.clock.now().replace(microsecond=0),
                msg_type=MsgType.CANCEL,
                references=(alert.triple,),
            )
        )

    async def due_now(self) -> None:
        """Let everything that waits for a later try be due, and have been for a while: a sweep
        leaves alone what has just become so."""
        async with self.db.begin() as connection:
            long_ago = func.now() - timedelta(minutes=1)
            await connection.execute(update(outbox).values(not_before=long_ago))

    async def rows(self, alert_id: UUID) -> list[dict[str, Any]]:
        async with self.db.begin() as connection:
            return await delivery_queries.page(connection, alert_id, after=0, limit=10_000)

    async def ledger(self, alert_id: UUID) -> dict[tuple[str, str, str], int]:
        async with self.db.begin() as connection:
            return {
                (c, s, r): n for c, s, r, n in await delivery_queries.counts(connection, alert_id)
            }

    @property
    def sent(self) -> list[Outgoing]:
        return [m for c in self.channels.values() for m in c.sent]

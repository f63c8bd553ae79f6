"""A worker and its imports, loaded before its process forks so that children share the memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

# Those that `Runtime` imports when they are asked for.
from alerting.bootstrap import Runtime, database_url, redis_url
from alerting.dispatch.chunks.deliver import Deliverer
from alerting.dispatch.evaluation.chunk_evaluator import ChunkEvaluator
from alerting.dispatch.plan import Planner
from alerting.dispatch.workers.precedence import Precedence
from alerting.dispatch.workers.work import Worker
from alerting.domain.lane import Lane
from alerting.errors import Unavailable
from alerting.observe.exporter import exported
from alerting.observe.metrics import BUDGET_ANSWERS, watch_pool
from alerting.observe.tracing import traced
from alerting.providers.failover import Routes
from alerting.settings import Settings
from alerting.store.work.presence import Presence
from alerting.throttle.budget import Answer, Ask, Budget, Limits
from alerting.throttle.budget.redis_budget import RedisBudget, connect

_Precedence = TypeVar("_Precedence", bound=Precedence)
_Worker = TypeVar("_Worker", bound=Worker)


class CountedBudget(Budget):
    """A budget whose answers are counted for Prometheus."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def ask(
        self,
        occasion: str,
        asks: Sequence[Ask],
        limits: Limits,
        *,
        timeout_s: float | None = None,
    ) -> list[Answer]:
        try:
            answers = await self._budget.ask(occasion, asks, limits, timeout_s=timeout_s)
        except Unavailable:
            for ask in asks:
                BUDGET_ANSWERS.labels(ask.severity.value, "unavailable").inc()
            raise
        for ask, answer in zip(asks, answers, strict=True):
            said = "admitted" if answer.admitted else answer.window.value
            BUDGET_ANSWERS.labels(ask.severity.value, said).inc()
        return answers


@asynccontextmanager
async def open_worker(
    settings: Settings,
    lanes: Collection[Lane],
    *,
    ending: Callable[[], bool] = lambda: False,
    child: int = 0,
) -> AsyncIterator[Worker]:
    """Run a worker for these lanes, with its channels open, until the block ends.

    ending: True once this process has been told to end; the worker then leaves what it has in good
    order. child: this process's number among the children of one worker, from 0; its metrics are
    at ALERTING_METRICS_PORT plus that.
    """
    left = False

    def stopping() -> bool:
        return left or ending()

    with (
        exported(settings.metrics_host, settings.metrics_port, child=child),
        traced(settings.otlp_endpoint, "alerting-worker"),
    ):
        async with _opened(settings, lanes, stopping) as worker:
            try:
                yield worker
            finally:
                left = True


@asynccontextmanager
async def _opened(
    settings: Settings, lanes: Collection[Lane], stopping: Callable[[], bool]
) -> AsyncIterator[Worker]:
    async with Runtime.open(settings) as runtime, runtime.routes() as routes:
        watch_pool(lambda: runtime.db.pool)
        presence = Presence(database_url(settings), [lane.value for lane in lanes])
        redis = connect(redis_url(settings))
        worker = make_worker(
            Worker,
            runtime,
            routes,
            runtime.evaluator(runtime.policies(), CountedBudget(RedisBudget(redis))),
            precedence_of(Precedence, runtime, lanes, stopping=stopping),
            owner=presence.owner,
            stopping=stopping,
        )
        try:
            async with presence.shown(), worker.serving():
                yield worker
        finally:
            await redis.aclose()


def precedence_of(
    kind: type[_Precedence],
    runtime: Runtime,
    lanes: Collection[Lane],
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> _Precedence:
    """Which of these lanes yield to others, and for how long at a time."""
    stretch_s = runtime.settings.lease_s / 3
    return kind(runtime.db, lanes, stretch_s=stretch_s, stopping=stopping)


def make_worker(
    kind: type[_Worker],
    runtime: Runtime,
    routes: Routes,
    evaluator: ChunkEvaluator,
    precedence: Precedence,
    *,
    owner: str = "",
    stopping: Callable[[], bool] = lambda: False,
) -> _Worker:
    """Put a worker together; it claims nothing yet.

    Its parts share the runtime's parsed alerts and yield by one `precedence`.
    """
    return kind(
        runtime.db,
        runtime.clock,
        Planner(
            runtime.db,
            runtime.clock,
            runtime.notifier,
            runtime.settings,
            stopping=stopping,
            documents=runtime.documents,
            wait_for_higher_priority=precedence.make_room,
        ),
        Deliverer(
            runtime.db,
            runtime.clock,
            routes,
            evaluator,
            runtime.links,
            runtime.settings,
            stopping=stopping,
            should_yield=precedence.must_yield,
        ),
        runtime.maintenance(
            wait_for_higher_priority=partial(precedence.wait_for_higher_priority, Lane.ROUTINE)
        ),
        runtime.settings,
        precedence,
        owner=owner,
        stopping=stopping,
    )

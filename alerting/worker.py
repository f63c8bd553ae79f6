"""A worker with all that it works with, imported before its process forks: children share it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial

# Those that `Runtime` imports when they are asked for.
from alerting.bootstrap import Runtime, database_url, redis_url
from alerting.dispatch.chunks.deliver import Deliverer
from alerting.dispatch.plan import Planner
from alerting.dispatch.workers.precedence import Precedence
from alerting.dispatch.workers.work import Worker
from alerting.domain.lane import Lane
from alerting.settings import Settings
from alerting.store.presence import Presence
from alerting.throttle.budget.redis import RedisBudget, connect


@asynccontextmanager
async def open_worker(
    settings: Settings, lanes: Collection[Lane], *, ending: Callable[[], bool] = lambda: False
) -> AsyncIterator[Worker]:
    """A worker for these lanes with its channels open, sweeping until the block ends.

    ending: True once this process has been told to end; the worker then leaves what it has in good
    order.
    """
    left = False

    def stopping() -> bool:
        return left or ending()

    async with Runtime.open(settings) as runtime, runtime.routes() as routes:
        presence = Presence(database_url(settings), [lane.value for lane in lanes])
        redis = connect(redis_url(settings))
        precedence = Precedence(
            runtime.db, lanes, stretch_s=settings.lease_s / 3, stopping=stopping
        )
        worker = Worker(
            runtime.db,
            runtime.clock,
            Planner(
                runtime.db,
                runtime.clock,
                runtime.doorbell,
                settings,
                stopping=stopping,
                documents=runtime.documents,
                give_way=precedence.make_room,
            ),
            Deliverer(
                runtime.db,
                runtime.clock,
                routes,
                runtime.verdicts(runtime.policies(), RedisBudget(redis)),
                runtime.links,
                settings,
                stopping=stopping,
                should_yield=precedence.stands_aside,
            ),
            runtime.house(give_way=partial(precedence.give_way, Lane.ROUTINE)),
            settings,
            precedence,
            owner=presence.owner,
            stopping=stopping,
        )
        try:
            async with presence.shown(), worker.serving():
                try:
                    yield worker
                finally:
                    left = True
        finally:
            await redis.aclose()

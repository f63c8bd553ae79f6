"""Worker: claims the best of the waiting work, starts it, and yields to higher-priority work.

Each queue (lane and channel) is claimed row by row in the order of ranks: ends and Cancels first,
then alerts in turn. Plans have a queue of their own, so none waits behind chunks.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import TypeVar
from uuid import uuid4

from alerting.background import end
from alerting.channels import registry
from alerting.clock import Clock
from alerting.dispatch import reach
from alerting.dispatch.chunks.deliver import Deliverer
from alerting.dispatch.lease import Lease
from alerting.dispatch.plan import Planner
from alerting.dispatch.workers.maintenance import Maintenance
from alerting.dispatch.workers.precedence import Precedence
from alerting.dispatch.workers.recovery import Recovery
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import HIGH_PRIORITY_LANES, Lane, higher_lanes
from alerting.errors import AlertingError
from alerting.observe.logs import logger
from alerting.observe.metrics import WORK_FAILED, WORK_SECONDS
from alerting.observe.tracing import span
from alerting.settings import Settings
from alerting.store.admin import stored_alarms
from alerting.store.db import AWAY, Database
from alerting.store.ledger import deliveries
from alerting.store.work import claims, queues
from alerting.store.work.claims import Fenced
from alerting.store.work.outbox import PLAN, Work
from alerting.store.work.queues import Room

log = logger(__name__)

_T = TypeVar("_T")

#: Rows of one queue in progress at once: a chunk is loaded and evaluated while another is sent.
_AT_ONCE = 2
#: The same with those that rank before one of these, so that they are ready when it waits.
_MOST = 4

#: A notification that found work keeps its process from the next one for this long: another process
#: takes that.
_NOTICE_S = 0.05


class Worker:
    """Does one process's work. Lives on one event loop.

    precedence: says which lanes it does, and what of them may begin; planner, deliverer and
    maintenance yield by the same one. owner: the name work is claimed by. stopping: True once this
    process must end; nothing new is begun then, and chunks are left between two windows.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        planner: Planner,
        deliverer: Deliverer,
        maintenance: Maintenance,
        settings: Settings,
        precedence: Precedence,
        *,
        owner: str = "",
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._db = db
        self._clock = clock
        self._planner = planner
        self._deliverer = deliverer
        self._maintenance = maintenance
        self._settings = settings
        self._owner = owner or f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"
        self._stopping = stopping
        self._precedence = precedence
        self._running: dict[asyncio.Task[None], Work] = {}
        self._filling = asyncio.Lock()
        self._wake = asyncio.Event()
        self._recovery = Recovery(
            db, self._owner, lease_s=settings.lease_s, pause_s=settings.sweep_s
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Claim and do work, and run maintenance, while the block lasts.

        Leaving it waits for work in progress, which `stopping` ends between two windows.
        """
        working = asyncio.create_task(self._work())
        beside = [
            asyncio.create_task(self._recover_on()),
            asyncio.create_task(self._precedence.watch_until_cancelled(self._held)),
        ]
        async with self._maintenance.running():
            try:
                yield
            finally:
                await end(working, *beside)
                await self.finish(self._settings.drain_s)

    async def notify(self) -> None:
        """Look for work at once."""
        if await self._tried(self.fill):
            await asyncio.sleep(_NOTICE_S)

    async def fill(self) -> int:
        """Claim and start work while there is room for it; returns the number of rows."""
        count = 0
        async with self._filling:
            while not self._stopping():
                found = await self._claim()
                if not found:
                    break
                count += found
        return count

    async def finish(self, timeout_s: float | None = None) -> None:
        """Wait until no work is in progress."""
        while self._running:
            _, late = await asyncio.wait(self._running, timeout=timeout_s)
            if late:
                log.warning("worker.not_drained", waited_s=timeout_s)
                return

    async def recover(self) -> None:
        """Release the work of dead workers, and work that this one claimed without an answer."""
        gone = await self._recovery.gone()
        # Between two claims: work that was just claimed must not look lost.
        async with self._filling:
            freed = await self._recovery.free(gone, [w.id for w in self._held()])
        if freed:
            log.info("work.recovered", count=len(freed), owners=gone)
            self._wake.set()

    async def _work(self) -> None:
        while not self._stopping():
            self._wake.clear()
            await self._tried(self.fill)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._settings.sweep_s)

    async def _recover_on(self) -> None:
        while not self._stopping():
            await self._tried(self.recover)
            await asyncio.sleep(self._recovery.pause_s)

    async def _tried(self, act: Callable[[], Awaitable[_T]]) -> _T | None:
        """The result; None after a failure, which is logged and never stops the worker."""
        try:
            return await act()
        except AlertingError as e:
            log.warning("work.left", error=e.detail)
        except AWAY as e:
            log.warning("work.left", error=type(e).__name__)
        except Exception:
            log.exception("work.left")
        return None

    async def _claim(self) -> int:
        room: list[Room] = [
            (lane, channel, below)
            for lane, only_first in (await self._precedence.may_begin()).items()
            for channel in (PLAN, *registry.names())
            if (below := self._below(lane, channel, only_first=only_first)) > -math.inf
        ]
        lease_s = self._settings.lease_s
        found = await queues.claim(self._db, room, owner=self._owner, lease_s=lease_s)
        for work in found:
            task = asyncio.create_task(self._measured(work))
            self._running[task] = work
            task.add_done_callback(self._done)
        return len(found)

    def _below(self, lane: Lane, channel: str, *, only_first: bool) -> float:
        """The rank below which a row of this queue may be claimed now."""
        here = [w for w in self._held() if w.channel == channel]
        # What is lighter leaves the room of higher lanes alone.
        competing = higher_lanes(lane) | {lane}
        ranks = sorted(w.rank if w.lane is lane else -math.inf for w in here if w.lane in competing)
        if len(ranks) < _AT_ONCE:
            return 0.0 if only_first else math.inf
        # The end of a high-priority alert has room of its own.
        ends = lane in HIGH_PRIORITY_LANES and not any(w.first for w in here)
        below = 0.0 if ends else -math.inf
        if channel == PLAN or only_first or len(ranks) >= _MOST:
            return below
        return max(below, ranks[-1])

    def _held(self) -> Collection[Work]:
        return self._running.values()

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._wake.set()

    async def _measured(self, work: Work) -> None:
        """Do it, measured and as one span."""
        about = {"kind": work.kind, "lane": work.lane.value, "channel": work.channel}
        with (
            WORK_SECONDS.labels(work.lane.value, work.kind).time(),
            span("work", **about, alert=str(work.alert_id), work=work.id, size=work.size),
        ):
            await self._do(work)

    async def _do(self, work: Work) -> None:
        try:
            if work.tries > self._settings.max_chunk_tries:
                await self._set_aside(work)
            elif work.kind == "plan":
                await self._planner.run(work)
            else:
                await self._deliverer.run(work)
        except Fenced:
            WORK_FAILED.labels("fenced").inc()
            log.warning("work.fenced", work=work.id)
        except AWAY as e:
            WORK_FAILED.labels("database-away").inc()
            log.warning("work.failed", work=work.id, kind=work.kind, error=type(e).__name__)
            await self._give_back(work, 0, counts=False)
        except Exception:
            WORK_FAILED.labels("error").inc()
            log.exception("work.failed", work=work.id, kind=work.kind, tries=work.tries)
            await self._give_back(work, self._settings.retry_s * work.tries)

    async def _give_back(self, work: Work, delay_s: float, *, counts: bool = True) -> None:
        lease = Lease(self._db, work, lease_s=self._settings.lease_s)
        with suppress(Fenced):
            await lease.write(lambda c, _: claims.abandon(c, work, delay_s=delay_s, counts=counts))

    async def _set_aside(self, work: Work) -> None:
        WORK_FAILED.labels("set-aside").inc()
        log.error("work.poisoned", work=work.id, kind=work.kind, alert=str(work.alert_id))
        async with self._db.begin() as connection:
            await claims.poison(connection, work)
            await stored_alarms.open_(
                connection,
                "chunk-poisoned",
                str(work.id),
                f"Work {work.id} of alert {work.alert_id} ended {work.tries - 1} workers and was "
                "set aside. The log of the workers says why; docs/runbooks/not-told.md.",
            )
            if work.kind == "deliver":
                await deliveries.close_chunk(
                    connection,
                    work.id,
                    work.size,
                    DeliveryState.FAILED,
                    "poisoned",
                    now=self._clock.now(),
                )
            await reach.finish(connection, work.alert_id, now=self._clock.now())

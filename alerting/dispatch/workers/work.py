"""Work: claims what the outbox holds and has it planned or delivered, whoever rang or did not."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from alerting.clock import Clock
from alerting.dispatch.chunks.deliver import Deliverer
from alerting.dispatch.lease import Lease
from alerting.dispatch.plan import Planner
from alerting.dispatch.workers.precedence import Precedence
from alerting.dispatch.workers.sweep import House
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.errors import AlertingError
from alerting.observe.logs import logger
from alerting.settings import Settings
from alerting.store import alarms, alerts, claims, deliveries, outbox
from alerting.store.claims import Fenced
from alerting.store.db import AWAY, Database
from alerting.store.outbox import Work

log = logger(__name__)


class Worker:
    """One process's hands. Lives on one event loop.

    `handle` answers the doorbell; `serving` needs no doorbell: it takes whatever its lanes have
    left waiting too long, so that an emptied or absent broker costs a second, not an alert.

    owner: the name work is claimed by. stopping: True once this process is to end; nothing new is
    begun then, and chunks are left between two windows.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        planner: Planner,
        deliverer: Deliverer,
        house: House,
        settings: Settings,
        lanes: Collection[Lane],
        *,
        owner: str = "",
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._db = db
        self._clock = clock
        self._planner = planner
        self._deliverer = deliverer
        self._house = house
        self._settings = settings
        self._owner = owner or f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"
        self._stopping = stopping
        self._precedence = Precedence(
            db, lanes, self._help, stretch_s=settings.lease_s / 3, stopping=stopping
        )
        planner.give_way = self._precedence.give_way
        deliverer.turns.elsewhere = self._precedence
        self._overdue_s = {
            lane: settings.sweep_extreme_s if lane is Lane.EXTREME else settings.sweep_s
            for lane in lanes
        }

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Sweep and keep house every second while the block lasts.

        Leaving it waits for what is under way: `stopping` ends that between two windows.
        """
        sweeping = asyncio.create_task(self._every_second(self.sweep))
        keeping = asyncio.create_task(self._every_second(self._house.keep))
        looking = asyncio.create_task(self._precedence.keep_looking())
        try:
            yield
        finally:
            keeping.cancel()
            looking.cancel()
            _, late = await asyncio.wait({sweeping}, timeout=self._settings.drain_s)
            sweeping.cancel()
            for task in (sweeping, keeping, looking):
                with suppress(asyncio.CancelledError):
                    await task
            if late:
                log.warning("worker.not_drained", waited_s=self._settings.drain_s)

    async def handle(self, outbox_id: int) -> bool:
        """Do one row's work if it is ours to do; False when another has it or it is done."""
        if self._stopping():
            return False
        try:
            async with self._db.begin() as connection:
                work = await outbox.claim(
                    connection, outbox_id, owner=self._owner, lease_s=self._settings.lease_s
                )
        except AWAY as e:
            log.warning("work.left", work=outbox_id, error=type(e).__name__)
            return False
        if work is None:
            return False
        await self._do(work)
        return True

    async def sweep(self) -> int:
        """Do everything overdue in our lanes, gravest first; returns how many rows."""
        count = 0
        while not self._stopping():
            async with self._db.begin() as connection:
                work = await outbox.claim_overdue(
                    connection, self._overdue_s, owner=self._owner, lease_s=self._settings.lease_s
                )
            if work is None:
                return count
            log.info("work.overdue", work=work.id, kind=work.kind, lane=work.lane.value)
            await self._do(work)
            count += 1
        return count

    async def _help(self, lanes: Collection[Lane]) -> bool:
        """Do one row of these lanes, whoever it was rung for; False when none is to be had."""
        try:
            async with self._db.begin() as connection:
                work = await outbox.claim_overdue(
                    connection,
                    dict.fromkeys(lanes, 0.0),
                    owner=self._owner,
                    lease_s=self._settings.lease_s,
                )
        except AWAY as e:
            log.warning("work.left", error=type(e).__name__)
            return False
        if work is None:
            return False
        await self._do(work)
        return True

    async def _every_second(self, act: Callable[[], Awaitable[object]]) -> None:
        """A fault is logged, never the end."""
        while not self._stopping():
            try:
                await act()
            except AlertingError as e:
                log.warning("sweep.failed", error=e.detail)
            except AWAY as e:
                log.warning("sweep.failed", error=type(e).__name__)
            except Exception:
                log.exception("sweep.failed")
            await asyncio.sleep(self._settings.sweep_extreme_s)

    async def _do(self, work: Work) -> None:
        try:
            if work.tries > self._settings.max_chunk_tries:
                await self._set_aside(work)
                return
            async with self._precedence.working(work.lane):
                async with Lease(self._db, work, lease_s=self._settings.lease_s).kept():
                    await self._precedence.give_way(work.lane)
                if work.kind == "plan":
                    await self._planner.run(work)
                else:
                    await self._deliverer.run(work)
        except Fenced:
            log.warning("work.fenced", work=work.id)
        except Exception:
            log.exception("work.failed", work=work.id, kind=work.kind, tries=work.tries)
            await self._give_back(work)

    async def _give_back(self, work: Work) -> None:
        delay_s = self._settings.retry_s * work.tries
        lease = Lease(self._db, work, lease_s=self._settings.lease_s)
        with suppress(Fenced):
            await lease.write(lambda c, _: claims.abandon(c, work, delay_s=delay_s))

    async def _set_aside(self, work: Work) -> None:
        log.error("work.poisoned", work=work.id, kind=work.kind, alert=str(work.alert_id))
        async with self._db.begin() as connection:
            await claims.poison(connection, work)
            await alarms.open_(
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
            await alerts.complete_if_done(connection, work.alert_id)

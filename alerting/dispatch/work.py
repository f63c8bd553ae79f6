"""Work: claims what the outbox holds and has it planned or delivered, whoever rang or did not."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

from alerting.clock import Clock
from alerting.dispatch.deliver import Deliverer
from alerting.dispatch.plan import Planner
from alerting.dispatch.sweep import House
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.errors import AlertingError
from alerting.observe.logs import logger
from alerting.settings import Settings
from alerting.store import alerts, deliveries, outbox
from alerting.store.db import Database
from alerting.store.outbox import Fenced, Work

log = logger(__name__)


class Worker:
    """One process's hands. Lives on one event loop.

    `handle` answers the doorbell; `sweep_forever` needs no doorbell: it takes whatever its lanes
    have left waiting too long, so that an emptied or absent broker costs a second, not an alert.
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
    ) -> None:
        self._db = db
        self._clock = clock
        self._planner = planner
        self._deliverer = deliverer
        self._house = house
        self._settings = settings
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"
        self._overdue_s = {
            lane: settings.sweep_extreme_s if lane is Lane.EXTREME else settings.sweep_s
            for lane in lanes
        }

    async def handle(self, outbox_id: int) -> bool:
        """Do one row's work if it is ours to do; False when another has it or it is done."""
        async with self._db.begin() as connection:
            work = await outbox.claim(
                connection, outbox_id, owner=self._owner, lease_s=self._settings.lease_s
            )
        if work is None:
            return False
        await self._do(work)
        return True

    async def sweep(self) -> int:
        """Do everything overdue in our lanes, gravest first; returns how many rows."""
        count = 0
        while True:
            async with self._db.begin() as connection:
                work = await outbox.claim_overdue(
                    connection, self._overdue_s, owner=self._owner, lease_s=self._settings.lease_s
                )
            if work is None:
                return count
            log.info("work.overdue", work=work.id, kind=work.kind, lane=work.lane.value)
            await self._do(work)
            count += 1

    async def sweep_forever(self) -> None:
        """Sweep and keep house every second until cancelled; a fault is logged, never the end."""
        while True:
            try:
                await self.sweep()
                await self._house.keep()
            except AlertingError as e:
                log.warning("sweep.failed", error=e.detail)
            except Exception:
                log.exception("sweep.failed")
            await asyncio.sleep(self._settings.sweep_extreme_s)

    async def _do(self, work: Work) -> None:
        try:
            if work.tries > self._settings.max_chunk_tries:
                await self._set_aside(work)
            elif work.kind == "plan":
                await self._planner.run(work)
            else:
                await self._deliverer.run(work)
        except Fenced:
            log.warning("work.fenced", work=work.id)
        except Exception:
            log.exception("work.failed", work=work.id, kind=work.kind, tries=work.tries)
            await self._give_back(work)

    async def _give_back(self, work: Work) -> None:
        not_before = self._clock.now() + timedelta(seconds=self._settings.retry_s * work.tries)
        try:
            async with self._db.begin() as connection:
                await outbox.abandon(connection, work, not_before=not_before)
        except Exception as e:
            # The lease ends by itself; the next owner starts from the open window.
            log.warning("work.left", work=work.id, error=type(e).__name__)

    async def _set_aside(self, work: Work) -> None:
        log.error("work.poisoned", work=work.id, kind=work.kind, alert=str(work.alert_id))
        async with self._db.begin() as connection:
            await outbox.poison(connection, work)
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

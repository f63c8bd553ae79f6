"""Precedence: low-priority work yields while higher-priority work is open, in any process.

Lanes have queues and often workers of their own, but all share PostgreSQL, the provider and, on a
small machine, the processor. PostgreSQL knows all open work, so a process with low-priority work
looks there ten times a second.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection

from alerting.domain.lane import HIGH_PRIORITY_LANES, Lane, higher_lanes
from alerting.observe.logs import logger
from alerting.store.db import AWAY, Database
from alerting.store.work import queues
from alerting.store.work.outbox import Work

log = logger(__name__)

#: How often a process with low-priority work looks for higher-priority work.
_LOOK_S = 0.1

#: Work is given precedence for this long after it was written. What takes longer is delayed by its
#: provider or its size, and other work must not wait for hours.
PRECEDENCE_S = 30.0

#: Queued chunks of an alert before its planner may yield to other alerts: some seconds of sending,
#: so that senders do not run dry, and two batches, so that it does not plan far ahead of them.
_ENOUGH = 8


class Precedence:
    """Says which lanes yield. Lives on one event loop.

    stretch_s: how long a lane yields at a time before it may take one step. stopping: True once
    this process must end; nothing is waited for then. While PostgreSQL is away nothing is known,
    and nothing yields.
    """

    def __init__(
        self,
        db: Database,
        lanes: Collection[Lane],
        *,
        stretch_s: float,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._db = db
        self._stopping = stopping
        self.lanes = [lane for lane in Lane if lane in lanes]
        # Routine too, because digests are created in every process.
        self._watched = higher_lanes(Lane.ROUTINE).union(*map(higher_lanes, self.lanes))
        self._stretch_s = stretch_s
        self._young: frozenset[Lane] = frozenset()
        self._looked_at = -math.inf
        self._compared_at = -math.inf
        self._yielding_since: dict[Lane, float] = {}

    def must_yield(self, work: Work) -> bool:
        """True while higher-priority work is open anywhere. A Cancel of a high-priority alert never
        yields."""
        return self._must_yield(work.lane) and not (work.first and work.lane in HIGH_PRIORITY_LANES)

    async def may_begin(self) -> dict[Lane, bool]:
        """The lanes whose work may begin now; True when only ends and Cancels may."""
        await self.look()
        found = {}
        now = time.monotonic()
        for lane in self.lanes:
            since = self._yielding_since.setdefault(lane, now)
            if not self._must_yield(lane):
                del self._yielding_since[lane]
            elif now - since >= self._stretch_s:
                self._yielding_since[lane] = now
            elif lane not in HIGH_PRIORITY_LANES:
                continue
            else:
                found[lane] = True
                continue
            found[lane] = False
        return found

    async def make_room(self, plan: Work) -> None:
        """Return when the next batch of a plan may be written, or after a stretch."""
        if self.must_yield(plan):
            await self.wait_for_higher_priority(plan.lane)
        await self.wait_for_smaller_alerts(plan)

    async def wait_for_higher_priority(self, lane: Lane) -> None:
        """Return when no work of a higher lane is left, or after a stretch."""
        end = time.monotonic() + self._stretch_s
        await self.look()
        while self._must_yield(lane) and time.monotonic() < end and not self._stopping():
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def wait_for_smaller_alerts(self, plan: Work) -> None:
        """Return when no alert of the plan's lane has less queued, or after a stretch.

        Returns at once while little of the plan's own alert waits to be sent. Planning far ahead of
        sending only takes processor time from the others.
        """
        if time.monotonic() - self._compared_at < _LOOK_S:
            return
        end = time.monotonic() + self._stretch_s
        while time.monotonic() < end and not self._stopping():
            self._compared_at = time.monotonic()
            try:
                if not await queues.smaller_waits(self._db, plan, enough=_ENOUGH):
                    return
            except AWAY:
                return
            await asyncio.sleep(_LOOK_S)

    async def watch_until_cancelled(self, running: Callable[[], Collection[Work]]) -> None:
        """Look again and again while running work may have to yield, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if any(higher_lanes(work.lane) for work in running()):
                await self.look()

    async def look(self) -> None:
        """Refresh the view of open work, unless that was done just now."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_S / 2:
            return
        self._looked_at = now
        try:
            self._young = await queues.young(self._db, self._watched, age_s=PRECEDENCE_S)
        except AWAY as e:
            log.debug("precedence.unknown", error=type(e).__name__)
            self._young = frozenset()

    def _must_yield(self, lane: Lane) -> bool:
        return not self._young.isdisjoint(higher_lanes(lane))

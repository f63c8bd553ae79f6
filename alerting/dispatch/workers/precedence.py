"""Precedence: light work stands aside while graver work is to be done, in whatever process.

Lanes have queues and often workers of their own, but all share PostgreSQL, the provider and, on a
small machine, the processor. What is to be done stands in PostgreSQL, so that is where a process
that works on something light looks, ten times a second.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection

from alerting.domain.lane import GRAVE_LANES, Lane, graver
from alerting.observe.logs import logger
from alerting.store import queues
from alerting.store.db import AWAY, Database
from alerting.store.outbox import Work

log = logger(__name__)

#: How often a process with light work looks for graver work.
_LOOK_S = 0.1

#: Graver work is given way to for so long after it was written. What takes longer is held up by
#: its provider or its size, and light work must not stand still for hours.
GIVE_WAY_S = 30.0

#: Chunks of an alert that are queued before its planning may wait for other alerts: some seconds
#: of sending, so that nothing stands still for it.
_ENOUGH = 20


class Precedence:
    """Says which lanes stand aside. Lives on one event loop.

    stretch_s: a lane stands aside for so long at a time, then may take one step. stopping: True
    once this process is to end; nothing is waited for then. PostgreSQL being away means that
    nothing is known, and nothing stands aside.
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
        # Routine too, for digests are made in every process.
        self._watched = graver(Lane.ROUTINE).union(*map(graver, self.lanes))
        self._stretch_s = stretch_s
        self._young: frozenset[Lane] = frozenset()
        self._looked_at = -math.inf
        self._compared_at = -math.inf
        self._aside_since: dict[Lane, float] = {}

    def stands_aside(self, work: Work) -> bool:
        """True while graver work is to be done somewhere. A cancel of a grave alert never does."""
        return self._aside(work.lane) and not (work.first and work.lane in GRAVE_LANES)

    async def may_begin(self) -> dict[Lane, bool]:
        """The lanes whose work may begin now; True where that is only an end or a cancel."""
        await self.look()
        found = {}
        now = time.monotonic()
        for lane in self.lanes:
            since = self._aside_since.setdefault(lane, now)
            if not self._aside(lane):
                del self._aside_since[lane]
            elif now - since >= self._stretch_s:
                self._aside_since[lane] = now
            elif lane not in GRAVE_LANES:
                continue
            else:
                found[lane] = True
                continue
            found[lane] = False
        return found

    async def make_room(self, plan: Work) -> None:
        """Return when the next batch of a plan may be written, or after a stretch."""
        if self.stands_aside(plan):
            await self.give_way(plan.lane)
        await self.let_smaller_pass(plan)

    async def give_way(self, lane: Lane) -> None:
        """Return when no work graver than this lane's is left, or after a stretch."""
        end = time.monotonic() + self._stretch_s
        await self.look()
        while self._aside(lane) and time.monotonic() < end and not self._stopping():
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def let_smaller_pass(self, plan: Work) -> None:
        """Return when no alert of the plan's lane is to be told that has less queued, or after a
        stretch. Returns at once while little of the plan's own alert waits to be sent.

        Planning far ahead of what is sent only takes the processor from them.
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

    async def keep_looking(self, in_hand: Callable[[], Collection[Work]]) -> None:
        """Look while there is work in hand that may have to stand aside, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if any(graver(work.lane) for work in in_hand()):
                await self.look()

    async def look(self) -> None:
        """See what there is, unless that was done just now."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_S / 2:
            return
        self._looked_at = now
        try:
            self._young = await queues.young(self._db, self._watched, age_s=GIVE_WAY_S)
        except AWAY as e:
            log.debug("precedence.unknown", error=type(e).__name__)
            self._young = frozenset()

    def _aside(self, lane: Lane) -> bool:
        return not self._young.isdisjoint(graver(lane))

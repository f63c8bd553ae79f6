"""Precedence: light work stands aside while graver work is to be done, in whatever process.

Lanes have queues and often workers of their own, but all share PostgreSQL, the provider and, on a
small machine, the processor. What is to be done stands in PostgreSQL, so that is where a process
that works on something light looks, ten times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from alerting.domain.lane import Lane
from alerting.observe.logs import logger
from alerting.store import outbox
from alerting.store.db import AWAY, Database

log = logger(__name__)

#: How often a process with light work looks for graver work.
_LOOK_S = 0.1

#: Graver work is given way to for so long after it was written. What takes longer is held up by
#: its provider or its size, and light work must not stand still for hours.
GIVE_WAY_S = 30.0

_ORDER = tuple(Lane)

#: Does some graver work of lanes like these, if there is any to claim; says whether there was.
Help = Callable[[Collection[Lane]], Awaitable[bool]]


def graver(lane: Lane) -> tuple[Lane, ...]:
    """The lanes before this one."""
    return _ORDER[: _ORDER.index(lane)]


class Precedence:
    """Knows of graver work anywhere. Lives on one event loop.

    lanes: those this process serves; of these it does graver work itself instead of waiting for a
    free process. help: does it. stretch_s: light work is held up so long at a time, then takes one
    step. stopping: True once this process is to end.

    PostgreSQL being away means that nothing is known, and nothing is held up.
    """

    def __init__(
        self,
        db: Database,
        lanes: Collection[Lane],
        help_: Help,
        *,
        stretch_s: float,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._db = db
        self._lanes = frozenset(lanes)
        self._help = help_
        self._stretch_s = stretch_s
        self._stopping = stopping
        self._under_way: Counter[Lane] = Counter()
        self._waiting: frozenset[Lane] = frozenset()
        self._looked_at = float("-inf")

    @asynccontextmanager
    async def working(self, lane: Lane) -> AsyncIterator[None]:
        """Work of this lane is done in the block; while it lasts, graver work is looked for."""
        self._under_way[lane] += 1
        try:
            yield
        finally:
            self._under_way[lane] -= 1

    def wanted(self, lane: Lane) -> bool:
        """True when work of a graver lane was seen to wait or to be done somewhere."""
        return not self._waiting.isdisjoint(graver(lane))

    async def give_way(self, lane: Lane) -> None:
        """Return when no graver work is left, or after a stretch; meanwhile help with it.

        For work that is `working`.
        """
        await self._look()
        end = time.monotonic() + self._stretch_s
        while self.wanted(lane) and time.monotonic() < end and not self._stopping():
            mine = [g for g in graver(lane) if g in self._lanes]
            if not mine or not await self._help(mine):
                await asyncio.sleep(_LOOK_S / 2)
            await self._look()

    async def keep_looking(self) -> None:
        """Look as often as is needed, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self._look()

    async def _look(self) -> None:
        lanes = {g for lane, n in self._under_way.items() if n for g in graver(lane)}
        now = time.monotonic()
        if not lanes or now - self._looked_at < _LOOK_S / 2:
            return
        self._looked_at = now
        try:
            self._waiting = await outbox.young(self._db, lanes, age_s=GIVE_WAY_S)
        except AWAY as e:
            log.debug("precedence.unknown", error=type(e).__name__)
            self._waiting = frozenset()

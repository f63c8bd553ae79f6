"""Turns: one open window in a process at a time, so that a kill leaves one window in doubt."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from types import TracebackType

from alerting.domain.lane import Lane

_GRAVEST_FIRST = {lane: n for n, lane in enumerate(Lane)}


class Turns:
    """Lets one chunk send at a time, the gravest lane first. Lives on one event loop."""

    def __init__(self) -> None:
        self._busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = count()

    def turn(self, lane: Lane) -> Turn:
        """A turn for a chunk of this lane: had while its `async with` lasts."""
        return Turn(self, lane)

    def wanted(self, lane: Lane) -> bool:
        """True when a graver chunk waits."""
        self._drop_cancelled()
        return bool(self._waiting) and self._waiting[0][0] < _GRAVEST_FIRST[lane]

    async def take(self, lane: Lane) -> None:
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (_GRAVEST_FIRST[lane], next(self._number), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        self._drop_cancelled()
        if self._waiting:
            heapq.heappop(self._waiting)[2].set_result(None)
        else:
            self._busy = False

    def _drop_cancelled(self) -> None:
        while self._waiting and self._waiting[0][2].done():
            heapq.heappop(self._waiting)


class Turn:
    """One chunk's turn."""

    def __init__(self, turns: Turns, lane: Lane) -> None:
        self._turns = turns
        self._lane = lane
        self._mine = False

    async def __aenter__(self) -> Turn:
        await self._turns.take(self._lane)
        self._mine = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._mine:
            self._turns.give_back()

    @property
    def wanted(self) -> bool:
        """True when a graver chunk waits: pass the turn on between two windows."""
        return self._turns.wanted(self._lane)

    async def pass_on(self) -> None:
        """Let the graver go first and return when it is our turn again."""
        self._mine = False
        self._turns.give_back()
        await self._turns.take(self._lane)
        self._mine = True

"""Turns: how many deliveries a process may have open at once, over all chunks it sends.

Whatever is open when a process is killed is in doubt; this bounds it.
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from types import TracebackType
from typing import Protocol

from alerting.domain.lane import Lane

_GRAVEST_FIRST = {lane: n for n, lane in enumerate(Lane)}


class Elsewhere(Protocol):
    """What is known of graver work in other processes."""

    def wanted(self, lane: Lane) -> bool: ...

    async def give_way(self, lane: Lane) -> None: ...


class Turns:
    """Hands out `places` to chunks, the gravest lane first. Lives on one event loop.

    Set `elsewhere` so that chunks also pass their turns on for graver work of other processes.
    """

    def __init__(self, places: int) -> None:
        self.elsewhere: Elsewhere | None = None
        self._free = places
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._number = count()

    def turn(self, lane: Lane, places: int) -> Turn:
        """A turn for a chunk with windows of so many; had while its `async with` lasts."""
        return Turn(self, lane, places)

    def wanted(self, lane: Lane) -> bool:
        """True when a graver chunk waits, here or elsewhere."""
        self._drop_cancelled()
        if self._waiting and self._waiting[0][0] < _GRAVEST_FIRST[lane]:
            return True
        return self.elsewhere is not None and self.elsewhere.wanted(lane)

    async def take(self, lane: Lane, places: int) -> None:
        if not self._waiting and places <= self._free:
            self._free -= places
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (_GRAVEST_FIRST[lane], next(self._number), places, turn)
        heapq.heappush(self._waiting, entry)
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(places)
            raise

    def give_back(self, places: int) -> None:
        self._free += places
        self._hand_out()

    def _hand_out(self) -> None:
        self._drop_cancelled()
        while self._waiting and self._waiting[0][2] <= self._free:
            _, _, places, turn = heapq.heappop(self._waiting)
            self._free -= places
            turn.set_result(None)
            self._drop_cancelled()

    def _drop_cancelled(self) -> None:
        while self._waiting and self._waiting[0][3].done():
            heapq.heappop(self._waiting)


class Turn:
    """One chunk's turn."""

    def __init__(self, turns: Turns, lane: Lane, places: int) -> None:
        self._turns = turns
        self._lane = lane
        self._places = places
        self._mine = False

    async def __aenter__(self) -> Turn:
        await self._turns.take(self._lane, self._places)
        self._mine = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._mine:
            self._turns.give_back(self._places)

    @property
    def wanted(self) -> bool:
        """True when a graver chunk waits: pass the turn on between two windows."""
        return self._turns.wanted(self._lane)

    async def pass_on(self) -> None:
        """Let the graver go first and return when it is our turn again."""
        self._mine = False
        self._turns.give_back(self._places)
        if self._turns.elsewhere is not None:
            await self._turns.elsewhere.give_way(self._lane)
        await self._turns.take(self._lane, self._places)
        self._mine = True

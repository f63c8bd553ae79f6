"""Places: how many deliveries one process may have open at a channel's providers.

Whatever is open when a process is killed is in doubt; this bounds it. Each channel has places of
its own, so that a provider that is slow or silent holds up no other.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from alerting.domain.lane import Lane
from alerting.store.outbox import Work

_ORDER = {lane: n for n, lane in enumerate(Lane)}

#: Gravest lane first, in it ends and cancels, then as they came.
_Entry = tuple[int, bool, int, int, asyncio.Future[None]]


class Places:
    """Hands out `most` places a channel to chunks. Lives on one event loop."""

    def __init__(self, most: int) -> None:
        self._free: dict[str, int] = defaultdict(lambda: most)
        self._waiting: dict[str, list[_Entry]] = defaultdict(list)
        self._number = count()

    @asynccontextmanager
    async def taken(self, work: Work, places: int) -> AsyncIterator[None]:
        """Hold so many places of the chunk's channel while the block lasts."""
        channel = work.channel
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (_ORDER[work.lane], not work.first, next(self._number), places, turn)
        heapq.heappush(self._waiting[channel], entry)
        self._hand_out(channel)
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free[channel] += places
            self._hand_out(channel)

    def wanted(self, work: Work) -> bool:
        """True when a graver chunk, or an end of the same lane, waits for places of its channel."""
        self._drop_cancelled(work.channel)
        waiting = self._waiting[work.channel]
        return bool(waiting) and waiting[0][:2] < (_ORDER[work.lane], not work.first)

    def _hand_out(self, channel: str) -> None:
        self._drop_cancelled(channel)
        waiting = self._waiting[channel]
        while waiting and waiting[0][3] <= self._free[channel]:
            *_, places, turn = heapq.heappop(waiting)
            self._free[channel] -= places
            turn.set_result(None)
            self._drop_cancelled(channel)

    def _drop_cancelled(self, channel: str) -> None:
        waiting = self._waiting[channel]
        while waiting and waiting[0][4].done():
            heapq.heappop(waiting)

"""Places: how many deliveries one process may have open at a channel's providers.

Whatever is open when a process is killed is in doubt; this bounds it. Each channel has places of
its own, so that a provider that is slow or silent holds up no other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

from alerting.domain.lane import Lane
from alerting.store.outbox import Work

_ORDER = {lane: n for n, lane in enumerate(Lane)}

#: A chunk that is sent for longer makes room where another alert waits for its queue.
SLICE_S = 1.0


class _Entry(NamedTuple):
    """A chunk that waits. rank: gravest lane first, in it ends and cancels."""

    rank: tuple[int, bool]
    alert_id: UUID
    places: int
    turn: asyncio.Future[None]


class Places:
    """Hands out `most` places a channel to chunks: by rank, then to another alert than the last,
    then as they came. Lives on one event loop."""

    def __init__(self, most: int) -> None:
        self._free: dict[str, int] = defaultdict(lambda: most)
        self._waiting: dict[str, list[_Entry]] = defaultdict(list)
        self._last: dict[str, UUID] = {}

    @asynccontextmanager
    async def taken(self, work: Work, places: int) -> AsyncIterator[None]:
        """Hold so many places of the chunk's channel while the block lasts."""
        channel = work.channel
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[channel].append(_Entry(_rank(work), work.alert_id, places, turn))
        self._hand_out(channel)
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free[channel] += places
            self._hand_out(channel)

    def wanted(self, work: Work, sending_s: float) -> bool:
        """True when a chunk that is sent for so long is to make room for one that waits for places
        of its channel: for a graver one or an end of its lane at once, for one of another alert of
        its lane after a slice."""
        own = _rank(work)
        return any(
            e.rank < own or (e.rank == own and e.alert_id != work.alert_id and sending_s >= SLICE_S)
            for e in self._waiting[work.channel]
            if not e.turn.done()
        )

    def _hand_out(self, channel: str) -> None:
        waiting = self._waiting[channel]
        waiting[:] = [e for e in waiting if not e.turn.done()]
        while waiting:
            last = self._last.get(channel)
            # The first of those that are alike: they are in the order in which they came.
            first = min(waiting, key=lambda e: (e.rank, e.alert_id == last))
            if first.places > self._free[channel]:
                return
            waiting.remove(first)
            self._free[channel] -= first.places
            self._last[channel] = first.alert_id
            first.turn.set_result(None)


def _rank(work: Work) -> tuple[int, bool]:
    return (_ORDER[work.lane], not work.first)

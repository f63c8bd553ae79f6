"""Channel locks: on each channel a process sends one chunk at a time, while others are prepared.

What is open when a process is killed is in doubt; this limits it to one window per channel. Each
channel has a lock of its own, so that a slow or silent provider delays no other.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

from alerting.domain.lane import HIGH_PRIORITY_LANES, Lane
from alerting.store.work.outbox import WIDEST, Work

_ORDER = {lane: n for n, lane in enumerate(Lane)}
_HIGHEST = (0, True)

#: A chunk sent for longer than this yields when another alert waits for its channel.
SLICE_S = 1.0
#: The same when the other chunk ranks before the next one of this alert.
_SOON_S = 0.1
#: A chunk that has waited this long alternates with the highest priority, whatever its lane.
PATIENCE_S = 30.0


class _Waiting(NamedTuple):
    work: Work
    granted: asyncio.Future[None]
    since_s: float

    @property
    def priority(self) -> tuple[int, bool]:
        own = _priority(self.work)
        return min(own, _HIGHEST) if time.monotonic() - self.since_s >= PATIENCE_S else own


class ChannelLocks:
    """Locks a channel for one chunk at a time: by priority, then for another alert than the last,
    then in order of arrival. Lives on one event loop."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._waiting: dict[str, list[_Waiting]] = defaultdict(list)
        self._last: dict[str, UUID] = {}

    @asynccontextmanager
    async def held(self, work: Work) -> AsyncIterator[None]:
        """Hold the lock of the chunk's channel while the block lasts."""
        channel = work.channel
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[channel].append(_Waiting(work, granted, time.monotonic()))
        self._grant_next(channel)
        try:
            await granted
            yield
        finally:
            if granted.done() and not granted.cancelled():
                self._held.discard(channel)
            self._grant_next(channel)

    def wanted(self, work: Work, sending_s: float) -> bool:
        """True when a chunk that has been sent for `sending_s` must yield to one that waits for its
        channel.

        It yields at once to higher priority and to an end of its lane, after a time slice to
        another alert of its lane, and sooner when that one ranks before the alert's next chunk.
        """
        own = _priority(work)

        def goes_first(other: _Waiting) -> bool:
            if other.priority != own or other.work.alert_id == work.alert_id:
                return other.priority < own
            soon = other.work.rank < work.rank + WIDEST
            return sending_s >= (_SOON_S if soon else SLICE_S)

        return any(goes_first(w) for w in self._waiting[work.channel] if not w.granted.done())

    def _grant_next(self, channel: str) -> None:
        waiting = self._waiting[channel]
        waiting[:] = [w for w in waiting if not w.granted.done()]
        if not waiting or channel in self._held:
            return
        last = self._last.get(channel)
        # The first of equals: they are in order of arrival.
        first = min(waiting, key=lambda w: (w.priority, w.work.alert_id == last))
        waiting.remove(first)
        self._held.add(channel)
        self._last[channel] = first.work.alert_id
        first.granted.set_result(None)


def _priority(work: Work) -> tuple[int, bool]:
    """Higher lanes first, and in a lane ends and Cancels.

    The end of a high-priority alert alternates with the highest priority: it must not wait for
    hours behind an Extreme alert with a large audience, nor delay one with a small audience.
    """
    own = (_ORDER[work.lane], not work.first)
    return min(own, _HIGHEST) if work.first and work.lane in HIGH_PRIORITY_LANES else own

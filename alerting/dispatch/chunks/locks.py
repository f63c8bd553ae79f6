"""Channel locks: on each channel a process sends one chunk at a time, while others are prepared.

What is open when a process is killed is in doubt; this limits it to one window per channel. Each
channel has a lock of its own, so that a slow or silent provider delays no other.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from alerting.domain.lane import HIGH_PRIORITY_LANES, Lane
from alerting.store.work.outbox import WIDEST, Work

_ORDER = {lane: n for n, lane in enumerate(Lane)}
_HIGHEST = (0, True)

#: A chunk sent for longer than this lets another alert go first.
SLICE_S = 1.0
#: The same when the other alert has not begun here, or its chunk ranks before this one.
SOON_S = 0.1
#: A chunk that has waited this long alternates with the highest priority, whatever its lane.
PATIENCE_S = 30.0

#: Alerts remembered as begun on a channel; one forgotten only goes first sooner.
_REMEMBERED = 256


class ChannelLocks:
    """Locks a channel for one chunk at a time: by priority, then by rank as the queue has it. Lives
    on one event loop."""

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = defaultdict(_Lock)

    @asynccontextmanager
    async def held(self, work: Work) -> AsyncIterator[Turn]:
        """Hold the lock of the chunk's channel while the block lasts."""
        turn = Turn(self._locks[work.channel], work)
        try:
            await turn.wait()
            yield turn
        finally:
            turn.end()


class Turn:
    """One chunk at the lock of its channel: it waits, then it is sent."""

    def __init__(self, lock: _Lock, work: Work) -> None:
        self._lock = lock
        self.work = work
        self.rank = work.rank
        self.since_s = 0.0
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def priority(self) -> tuple[int, bool]:
        """Higher lanes first, and in a lane ends and Cancels.

        The end of a high-priority alert alternates with the highest priority: it must not wait for
        hours behind an Extreme alert with a large audience, nor delay one with a small audience.
        """
        own = (_ORDER[self.work.lane], not self.work.first)
        ends = self.work.first and self.work.lane in HIGH_PRIORITY_LANES
        waits = not self.granted.done() and time.monotonic() - self.since_s >= PATIENCE_S
        return min(own, _HIGHEST) if ends or waits else own

    async def wait(self) -> None:
        """Return when the lock is this chunk's."""
        self.since_s = time.monotonic()
        self.granted = asyncio.get_running_loop().create_future()
        self._lock.waiting.append(self)
        self._lock.grant_next()
        await self.granted
        self.since_s = time.monotonic()

    def is_wanted(self) -> bool:
        """True when another chunk is to go first.

        At once one of higher priority; after a moment one that ranks before, or that ranks before
        the next chunk of this alert and whose own has not begun here; after a slice any other
        alert's.
        """
        own, sending_s = self.priority, time.monotonic() - self.since_s

        def goes_first(other: Turn) -> bool:
            if other.priority != own or other.work.alert_id == self.work.alert_id:
                return other.priority < own
            new = other.work.alert_id not in self._lock.begun
            soon = other.rank < self.rank + WIDEST * new
            return sending_s >= (SOON_S if soon else SLICE_S)

        return any(goes_first(w) for w in self._lock.waiting if not w.granted.done())

    async def pass_on(self) -> None:
        """Let those go first that rank before the next chunk of this alert; return when the lock
        is this chunk's again."""
        first = self._lock.first()
        if first is not None and first.rank >= self.rank:
            self.rank = max(first.rank, self.rank + WIDEST)
        self.end()
        await self.wait()

    def end(self) -> None:
        """Leave the lock to the next, or stop waiting for it."""
        self._lock.leave(self)


class _Lock:
    """The lock of one channel, who has it and who waits for it."""

    def __init__(self) -> None:
        self.waiting: list[Turn] = []
        self.begun: OrderedDict[UUID, None] = OrderedDict()
        self._holder: Turn | None = None
        self._last: tuple[Lane, bool] | None = None

    def first(self) -> Turn | None:
        """Who is next. Kinds of work that do not compare by rank alternate; of equals the first
        that came."""
        return min(
            (w for w in self.waiting if not w.granted.done()),
            key=lambda w: (w.priority, _kind(w) == self._last, w.rank),
            default=None,
        )

    def grant_next(self) -> None:
        turn = self.first()
        if turn is None or self._holder is not None:
            return
        self.waiting.remove(turn)
        self._holder, self._last = turn, _kind(turn)
        self.begun[turn.work.alert_id] = None
        self.begun.move_to_end(turn.work.alert_id)
        if len(self.begun) > _REMEMBERED:
            self.begun.popitem(last=False)
        turn.granted.set_result(None)

    def leave(self, turn: Turn) -> None:
        if turn in self.waiting:
            self.waiting.remove(turn)
        if self._holder is turn:
            self._holder = None
        self.grant_next()


def _kind(turn: Turn) -> tuple[Lane, bool]:
    return turn.work.lane, turn.work.first

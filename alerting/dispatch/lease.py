"""Lease: a claimed outbox row, the check that it is still ours, and writes that need the check."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.background import background_task
from alerting.domain.alert_state import ENDED, AlertState
from alerting.observe.logs import logger
from alerting.store.db import AWAY, Database
from alerting.store.ledger.outcomes import OutcomeRow
from alerting.store.work import claims
from alerting.store.work.claims import Fenced
from alerting.store.work.outbox import Work

log = logger(__name__)

#: A write under a lease; it gets the alert's state at that moment.
Act = Callable[[AsyncConnection, AlertState], Awaitable[object]]

_PAUSE_S = 0.05
_PAUSE_MAX_S = 1.0
#: How often it is checked, during provider calls, whether the alert has ended.
_LOOK_S = 0.2


class Lease:
    """Holds one claimed row. Lives on one event loop.

    `write` retries while PostgreSQL is unavailable: a provider's answer must not be lost, and the
    fence protects a later owner's work. Writes must be idempotent: a commit may succeed although
    its reply is lost.
    """

    def __init__(self, db: Database, work: Work, *, lease_s: float) -> None:
        self.work = work
        self._db = db
        self._lease_s = lease_s
        self._held_at = time.monotonic()
        self._ended = False

    @property
    def is_valid(self) -> bool:
        """False when the lease may have expired, or the alert is known to have ended: then no
        provider may be called."""
        return not self._ended and time.monotonic() - self._held_at < self._lease_s / 2

    async def write(self, act: Act | None = None, **values: int) -> AlertState:
        """Check and extend the lease, set `values` and run `act`, in one transaction.

        Returns the alert's state. Retries while PostgreSQL is unavailable.

        Raises:
            Fenced: When another worker has taken over.
        """

        async def attempt() -> AlertState:
            async with self._db.begin() as connection:
                state = await claims.hold(connection, self.work, lease_s=self._lease_s, **values)
                if act is not None:
                    await act(connection, state)
                return state

        return await self._until_written(attempt)

    async def commit_batch_and_open_next(
        self, outcome_rows: Sequence[OutcomeRow], window: tuple[int, int], *, now: datetime
    ) -> AlertState:
        """Record the outcomes of one window and open the next, much cheaper than `write`."""
        return await self._until_written(
            lambda: claims.commit_batch_and_open_next(
                self._db, self.work, outcome_rows, lease_s=self._lease_s, window=window, now=now
            )
        )

    @asynccontextmanager
    async def watching_for_end(self) -> AsyncIterator[None]:
        """Notice within a moment, while the block lasts, that the alert has ended."""
        async with background_task(self._watch()):
            yield

    async def _watch(self) -> None:
        while not self._ended:
            await asyncio.sleep(_LOOK_S)
            # The next write under this lease waits until the database answers.
            with suppress(*AWAY):
                state = await claims.state_seen(self._db, self.work)
                self._ended = state is None or state in ENDED

    async def _until_written(self, attempt: Callable[[], Awaitable[AlertState]]) -> AlertState:
        pause_s = _PAUSE_S
        while True:
            asked_at = time.monotonic()
            try:
                state = await attempt()
            except AWAY as e:
                log.warning("lease.waits", work=self.work.id, error=type(e).__name__)
                await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311 - spreads load only
                pause_s = min(_PAUSE_MAX_S, pause_s * 2)
            else:
                self._held_at = asked_at
                return state

    @asynccontextmanager
    async def heartbeat(self) -> AsyncIterator[None]:
        """Extend the lease in the background while the block lasts."""
        async with background_task(self._beat()):
            yield

    async def _beat(self) -> None:
        every_s = self._lease_s / 5
        while True:
            await asyncio.sleep(every_s)
            if time.monotonic() - self._held_at >= every_s:
                try:
                    await self.write()
                except Fenced:
                    # The owner of this lease gets the error at its next write.
                    return

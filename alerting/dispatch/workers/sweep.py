"""Sweep: what must happen though nobody rings for it. Safe to run anywhere, any number of times."""

from __future__ import annotations

from sqlalchemy import func, select

from alerting.clock import Clock
from alerting.dispatch.broker import Doorbell
from alerting.dispatch.escalate import Escalations
from alerting.dispatch.intake.cancel import see_through
from alerting.dispatch.judging.digest import Digests
from alerting.dispatch.plan import ring
from alerting.dispatch.receipts import apply_waiting
from alerting.domain.lane import Lane
from alerting.settings import Settings
from alerting.store import alerts, digests
from alerting.store.db import Database

#: Held for one round, so that of many sweepers one works.
LOCK = 0x73776570


class House:
    """Keeps house on one event loop."""

    def __init__(self, db: Database, clock: Clock, doorbell: Doorbell, settings: Settings) -> None:
        self._db = db
        self._clock = clock
        self._doorbell = doorbell
        self._digests = Digests(clock, chunk_size=settings.chunk_size)
        self._escalations = Escalations(settings)

    async def keep(self) -> bool:
        """Apply receipts, send what digests are due, tell by other channels whom one did not
        reach, see cancels through, end expired alerts, finish loose ends.

        One transaction a round under an advisory lock that ends with it, whatever happens; False
        when another is at it.
        """
        async with self._db.begin() as connection:
            if not await connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
                return False
            now = self._clock.now()
            await apply_waiting(self._db)
            await alerts.expire(connection, now=now)
            await digests.settle_carried(connection, now=now)
            chunk_ids = await self._digests.flush(connection)
            escalated = await self._escalations.write(connection, now=now)
            notices = await see_through(connection, now=now)
            for alert_id in await alerts.unfinished(connection):
                await alerts.complete_if_done(connection, alert_id)
        for lane, ids in [(Lane.ROUTINE, chunk_ids), *escalated, *notices.items()]:
            await ring(self._db, self._doorbell, lane, ids)
        return True

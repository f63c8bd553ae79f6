"""Sweep: what must happen though nobody rings for it. Safe to run anywhere, any number of times."""

from __future__ import annotations

import socket
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.clock import Clock
from alerting.dispatch.broker import Doorbell
from alerting.dispatch.escalate import Escalations
from alerting.dispatch.intake.cancel import call_back_some
from alerting.dispatch.judging.digest import Digests
from alerting.dispatch.receipts import apply_waiting
from alerting.domain.lane import Lane
from alerting.settings import Settings
from alerting.store import alarms, alerts, digests, escalations
from alerting.store.db import Database, told_now

#: A machine whose clock differs by more ends and deletes nothing.
_FAR = timedelta(minutes=1)

#: Held for one round, so that of many sweepers one works.
LOCK = 0x73776570


class House:
    """Keeps house on one event loop.

    machine_clock: where it is far from PostgreSQL's, this machine does no house-keeping and raises
    an alarm: what it would end or delete by a wrong time does not come back.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        doorbell: Doorbell,
        settings: Settings,
        *,
        machine_clock: Clock | None = None,
    ) -> None:
        self._db = db
        self._machine_clock = machine_clock
        self._was_off = False
        self._clock = clock
        self._doorbell = doorbell
        self._digests = Digests(clock, chunk_size=settings.chunk_size)
        self._escalations = Escalations(settings)

    async def keep(self) -> bool:
        """Apply receipts, send what digests are due, tell by other channels whom one did not
        reach, call back what ended, end expired alerts, finish loose ends.

        One transaction a round under an advisory lock that ends with it, whatever happens; False
        when another is at it.
        """
        async with self._db.begin() as connection:
            if not await connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
                return False
            if await self._clock_is_off(connection):
                return False
            now = self._clock.now()
            await apply_waiting(self._db)
            await alerts.expire(connection, now=now)
            failed = await digests.settle_carried(connection, now=now)
            await escalations.look_now(connection, failed)
            chunk_ids = await self._digests.flush(connection)
            escalated = await self._escalations.write(connection, now=now)
            await call_back_some(connection, now=now)
            for alert_id in await alerts.unfinished(connection):
                await alerts.complete_if_done(connection, alert_id)
        for lane, ids in [(Lane.ROUTINE, chunk_ids), *escalated]:
            if ids:
                self._doorbell.ring(lane)
        return True

    async def _clock_is_off(self, connection: AsyncConnection) -> bool:
        if self._machine_clock is None:
            return False
        here, there = self._machine_clock.now(), await told_now(connection)
        off, host = abs(here - there) > _FAR, socket.gethostname()
        if off:
            sentence = (
                f"The clock of {host} says {here.isoformat(timespec='seconds')}, PostgreSQL's "
                f"{there.isoformat(timespec='seconds')}. Set it right: until then {host} keeps no "
                "house."
            )
            await alarms.open_(connection, "clock", host, sentence)
        elif self._was_off:
            await alarms.close(connection, "clock", host, by="system")
        self._was_off = off
        return off

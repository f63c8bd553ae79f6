"""Prune: old deliveries leave the ledger in small steps that nobody has to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.clock import Clock
from alerting.dispatch import machine_clock
from alerting.errors import Unavailable
from alerting.store import audit_log
from alerting.store.admin import stored_alarms
from alerting.store.db import Database, server_now
from alerting.store.ledger import pruning
from alerting.store.ledger.pruning import OldEvent

#: Chunks deleted by one transaction, with up to 1,000 deliveries each.
CHUNKS = 4

#: Chunks whose deliveries one transaction looks at.
_LOOKED_AT = 20
_ALARMS = 1000

#: How long it yields before it looks again whether high-priority work is still open.
ASIDE_S = 1.0


@dataclass(slots=True)
class Pruned:
    """The result of one run, real or dry.

    Attributes:
        in_use: Events old enough that something still holds back.
        deliveries: Including those that an interrupted run had left.
    """

    dry_run: bool
    events: list[OldEvent] = field(default_factory=list)
    in_use: int = 0
    deliveries: int = 0
    receipts: int = 0
    alarms: int = 0

    @property
    def alerts(self) -> int:
        return sum(e.alerts for e in self.events)

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "event": str(e.event_id),
                "alerts": e.alerts,
                "first": e.identifier,
                "began_at": e.began_at.isoformat(),
                "deliveries": e.deliveries,
            }
            for e in self.events
        ]
        found = {
            "dry_run": self.dry_run,
            "events": rows,
            "alerts": self.alerts,
            "deliveries": self.deliveries,
            "in_use": self.in_use,
        }
        # Nobody has counted them before they go.
        return (
            found
            if self.dry_run
            else found
            | {
                "receipts": self.receipts,
                "alarms": self.alarms,
            }
        )


def _quiet(_done: int, _total: int) -> None: ...


class Pruner:
    """Prunes on one event loop.

    Every transaction is short, waits until no Extreme or Severe alert is in progress, and is the
    only one in the database, whatever number of these run.

    Args:
        gentle: Pause as long as it works.
        progress: Called with the deliveries deleted and those to delete.
        pause: Sleeps.
        machine: This machine's clock; when it differs much from PostgreSQL's, nothing is deleted.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        gentle: bool = False,
        progress: Callable[[int, int], None] = _quiet,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        machine: Clock | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._gentle = gentle
        self._progress = progress
        self._pause = pause
        self._machine_clock = machine
        self._total = 0

    async def run(self, days: int, *, actor: str, dry_run: bool = False) -> Pruned:
        """Delete the deliveries of events that ended more than `days` ago, with everything that
        belongs to them, and what an interrupted run has left. `dry_run` only reports what would go.

        Alerts, the audit, citizens and their consent stay. It may be interrupted at any moment; the
        next run continues.

        Raises:
            Unavailable: When one of two clocks is wrong.
        """
        await self._agree_on_the_time()
        cutoff = self._clock.now() - timedelta(days=days)
        done = Pruned(dry_run)
        async with self._exclusive() as connection:
            left = await pruning.left_over(connection)
            events = await pruning.old_events(connection, cutoff=cutoff)
        self._total = sum(left.values()) + sum(e.deliveries for e in events)
        if dry_run:
            done.deliveries = sum(left.values())
        else:
            await self._erase(list(left), done)
        for event in events:
            await self._event(event, done, cutoff=cutoff, actor=actor, days=days)
        if not dry_run:
            await self._alarms(done, cutoff)
        return done

    async def _agree_on_the_time(self) -> None:
        """A clock that is years ahead makes everything old."""
        if self._machine_clock is None:
            return
        async with self._db.begin() as connection:
            off = machine_clock.off(self._machine_clock.now(), await server_now(connection))
        if off:
            raise Unavailable(f"{off} Nothing is pruned.", remedy="Set the wrong one right.")

    async def _event(
        self, event: OldEvent, done: Pruned, *, cutoff: datetime, actor: str, days: int
    ) -> None:
        if event.busy or await self._in_use(event.event_id):
            done.in_use += 1
            return
        if done.dry_run:
            done.events.append(event)
            done.deliveries += event.deliveries
            return
        async with self._exclusive() as connection:
            now = self._clock.now()
            marked = await pruning.mark(connection, event.event_id, cutoff=cutoff, now=now)
            if marked:
                detail = {"alerts": event.alerts, "deliveries": event.deliveries, "days": days}
                await audit_log.record(
                    connection, actor, "ledger.prune", str(event.event_id), detail
                )
        if not marked:
            return
        done.events.append(event)
        await self._erase(marked, done)

    async def _in_use(self, event_id: UUID) -> bool:
        after = -1
        while True:
            async with self._exclusive() as connection:
                chunks = await pruning.next_chunks(
                    connection, event_id, after=after, limit=_LOOKED_AT
                )
                if await pruning.in_use(connection, chunks):
                    return True
            if len(chunks) < _LOOKED_AT:
                return False
            after = chunks[-1][0]

    async def _erase(self, alert_ids: Sequence[UUID], done: Pruned) -> None:
        while alert_ids:
            async with self._exclusive() as connection:
                erased = await pruning.erase(connection, alert_ids, chunks=CHUNKS)
            if not erased.chunks:
                return
            done.deliveries += erased.deliveries
            done.receipts += erased.receipts
            self._progress(done.deliveries, self._total)

    async def _alarms(self, done: Pruned, cutoff: datetime) -> None:
        count = _ALARMS
        while count == _ALARMS:
            async with self._exclusive() as connection:
                count = await stored_alarms.forget_closed(connection, before=cutoff, limit=_ALARMS)
            done.alarms += count

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, started when no high-priority work is open and no other prune is running
        one."""
        while True:
            async with self._db.begin(patient=True) as connection:
                await pruning.take_turn(connection)
                if not await pruning.high_priority_work(connection):
                    start = time.monotonic()
                    yield connection
                    break
            await self._pause(ASIDE_S)
        if self._gentle:
            await self._pause(time.monotonic() - start)

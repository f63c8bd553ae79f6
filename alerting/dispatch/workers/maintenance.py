"""Maintenance: what must happen although no task triggers it. Safe to run anywhere, any number of
times."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.background import end
from alerting.channels.staff import Staff
from alerting.clock import Clock
from alerting.dispatch import approvers, reach
from alerting.dispatch import machine_clock as machine
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.documents import Documents
from alerting.dispatch.escalate import Escalations
from alerting.dispatch.evaluation.digest import Digests
from alerting.dispatch.intake.cancel import revoke_some
from alerting.dispatch.receipts import BATCH, apply_receipts
from alerting.dispatch.workers.duty import Done, Duty
from alerting.domain.lane import Lane
from alerting.errors import AlertingError
from alerting.observe.logs import logger
from alerting.observe.metrics import duty as measured
from alerting.settings import Settings
from alerting.store.admin import audit_chain, stored_alarms
from alerting.store.alerts import alert_progress
from alerting.store.db import AWAY, Database
from alerting.store.ledger import digests, escalations, tallies
from alerting.store.work import duties

log = logger(__name__)

#: Approvers whom no provider reached are notified again after this.
_NOTIFY_AGAIN = timedelta(seconds=30)

#: Between two transactions of a duty that has work left.
_PAUSE_S = 0.01


class Maintenance:
    """Runs the maintenance duties on one event loop, each in transactions of its own.

    A duty that fails is logged and stops no other. Of several processes one at a time does a duty.

    wait_for_higher_priority: awaited before each batch of digests, so that routine work yields to
    high-priority work.

    Args:
        machine_clock: When it differs much from PostgreSQL's, this machine does no maintenance and
            raises an alarm: what it would end or delete by a wrong time cannot be undone.
        documents: The parsed alerts of this process.
        staff: Who is notified of held alerts.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        notifier: WorkNotifier,
        settings: Settings,
        *,
        machine_clock: Clock | None = None,
        documents: Documents | None = None,
        staff: Staff | None = None,
        wait_for_higher_priority: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._yield_to_others = wait_for_higher_priority
        self._db = db
        self._machine_clock = machine_clock
        self._was_off = False
        self._clock = clock
        self._notifier = notifier
        self._idle_s = settings.sweep_s
        self._public_url = settings.public_url
        self._staff = staff
        self._notify_from = clock.now()
        self._digests = Digests(clock, chunk_size=settings.chunk_size, documents=documents)
        self._escalations = Escalations(settings)
        #: Failed digest items whose chunks are still to be marked for escalation.
        self._to_mark: Sequence[int] = ()
        every = (
            Duty("receipts", 1, self._apply_receipts, size=500, most=BATCH),
            Duty("expire", 2, self._expire, size=100, most=1000),
            Duty("settle-digests", 3, self._record_digest_outcomes, size=2, most=20),
            Duty("digests", 4, self._send_digests, size=200, most=2000, light=True),
            Duty("escalate", 5, self._escalate, size=50, most=50),
            Duty("call-back", 6, self._revoke, size=20, most=20),
            Duty("finish", 7, self._finish, size=2, most=10),
            Duty("tally", 8, self._tally, size=2000, most=20_000),
            *([Duty("ring", 9, self._notify, size=1, most=1)] if staff else []),
            Duty("seal-audit", 17, self._seal_audit, size=200, most=2000),
        )
        self.duties = {duty.name: duty for duty in every}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run every duty in the background while the block lasts.

        Each looks for work once a second, and continues after a short pause while it has work left.
        """
        loops = [asyncio.create_task(self._go_on(duty)) for duty in self.duties.values()]
        try:
            yield
        finally:
            await end(*loops)

    async def run_once(self) -> bool:
        """Do every duty once, in order, until nothing is due.

        Returns False when another process is doing one of them, or this machine's clock is wrong.
        Raises the first error of a duty after all have run.
        """
        all_mine, failed = True, None
        for duty in self.duties.values():
            try:
                while (done := await self._once(duty)) and done.more:
                    pass
                all_mine = all_mine and done is not None
            except Exception as e:
                failed = failed or e
        if failed is not None:
            raise failed
        return all_mine

    async def _go_on(self, duty: Duty) -> None:
        while True:
            done = None
            try:
                done = await self._once(duty)
            except AlertingError as e:
                log.warning("maintenance.duty_failed", duty=duty.name, error=e.detail)
            except AWAY as e:
                log.warning("maintenance.duty_failed", duty=duty.name, error=type(e).__name__)
            except Exception:
                log.exception("maintenance.duty_failed", duty=duty.name)
            await asyncio.sleep(_PAUSE_S if done and done.more else self._idle_s)

    async def _once(self, duty: Duty) -> Done | None:
        """One transaction of a duty; None when it is not ours to do now."""
        if duty.light and self._yield_to_others is not None:
            await self._yield_to_others()
        with measured(duty.name) as run:
            async with self._db.begin() as connection:
                if not await self._is_ours(connection, duty):
                    return None
                done = await duty.run(connection)
            run.done()
        # Only once it is committed: a transaction that fails is done again.
        if done.busy is not None:
            self._to_mark = done.busy
        for lane in done.notify:
            self._notifier.notify(lane)
        return done

    async def _is_ours(self, connection: AsyncConnection, duty: Duty) -> bool:
        now, ours = await duties.take(connection, duty.no)
        return ours and not await self._clock_is_off(connection, now)

    async def _clock_is_off(self, connection: AsyncConnection, there: datetime) -> bool:
        if self._machine_clock is None:
            return False
        host, off = socket.gethostname(), machine.off(self._machine_clock.now(), there)
        if off:
            sentence = f"{off} Correct it: until then {host} does no maintenance."
            await stored_alarms.open_(connection, "clock", host, sentence)
        elif self._was_off:
            await stored_alarms.close(connection, "clock", host, by="system")
        self._was_off = bool(off)
        return self._was_off

    async def _apply_receipts(self, connection: AsyncConnection, limit: int) -> Done:
        applied = await apply_receipts(connection, limit=limit)
        # What is left waits for a worker that is writing the same deliveries.
        more = applied.taken == limit and applied.left < applied.taken
        return Done(more)

    async def _expire(self, connection: AsyncConnection, limit: int) -> Done:
        expired = await alert_progress.expire(connection, now=self._clock.now(), limit=limit)
        await stored_alarms.close_of(connection, expired, by="system")
        return Done(len(expired) == limit)

    async def _record_digest_outcomes(self, connection: AsyncConnection, limit: int) -> Done:
        now = self._clock.now()
        count, failed = await digests.record_carried_outcomes(connection, now=now, chunks=limit)
        busy = await escalations.look_now(connection, [*self._to_mark, *failed])
        return Done(count == limit, busy=busy)

    async def _send_digests(self, connection: AsyncConnection, limit: int) -> Done:
        chunk_ids, more = await self._digests.flush(connection, limit=limit)
        return Done(more, notify=[Lane.ROUTINE] if chunk_ids else ())

    async def _escalate(self, connection: AsyncConnection, limit: int) -> Done:
        now = self._clock.now()
        count, lanes = await self._escalations.write(connection, now=now, most=limit)
        return Done(count == limit, notify=lanes)

    async def _revoke(self, connection: AsyncConnection, limit: int) -> Done:
        count = await revoke_some(connection, chunks=limit, now=self._clock.now())
        return Done(count == limit)

    async def _finish(self, connection: AsyncConnection, limit: int) -> Done:
        found = await alert_progress.unfinished(connection, limit=limit)
        for alert_id in found:
            await reach.finish(connection, alert_id, now=self._clock.now())
        return Done(len(found) == limit)

    async def _seal_audit(self, connection: AsyncConnection, limit: int) -> Done:
        count, head = await audit_chain.seal(connection, limit=limit)
        if count:
            # Logged outside the database, so that a chain that was rebuilt there is detected.
            log.info("audit.sealed", head=str(head))
        return Done(count == limit)

    async def _tally(self, connection: AsyncConnection, limit: int) -> Done:
        count, changed = await tallies.add_up(connection, limit=limit)
        await reach.update_alarms(connection, changed, now=self._clock.now())
        return Done(count == limit)

    async def _notify(self, connection: AsyncConnection, limit: int) -> Done:
        now = self._clock.now()
        if self._staff is None or now < self._notify_from:
            return Done()
        notified, failed = await approvers.notify(
            connection, self._staff, public_url=self._public_url, limit=limit
        )
        if failed:
            self._notify_from = now + _NOTIFY_AGAIN
        return Done(notified == limit)

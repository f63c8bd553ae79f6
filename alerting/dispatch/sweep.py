"""Sweep: what must happen though nobody rings for it. Safe to run anywhere, any number of times."""

from __future__ import annotations

from sqlalchemy import func, select

from alerting.clock import Clock
from alerting.dispatch.receipts import apply_receipts
from alerting.store import alerts
from alerting.store.db import Database

#: Held for one round, so that of many sweepers one works.
LOCK = 0x73776570


async def keep_house(db: Database, clock: Clock) -> bool:
    """Apply receipts, end expired alerts, finish those whose last worker died; False when busy.

    One transaction a round under an advisory lock that ends with it, whatever happens.
    """
    async with db.begin() as connection:
        if not await connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
            return False
        await apply_receipts(connection)
        await alerts.expire(connection, now=clock.now())
        for alert_id in await alerts.unfinished(connection):
            await alerts.complete_if_done(connection, alert_id)
    return True

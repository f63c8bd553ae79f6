"""Maintenance duties: one process at a time does each."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

#: All duties share this lock, each with an exclusive one of its own. Earlier versions of the
#: program hold it exclusively for a round, and must not make the same digests.
LOCK = 0x73776570


async def take(connection: AsyncConnection, no: int) -> tuple[datetime, bool]:
    """PostgreSQL's time, and whether this transaction holds the lock of the duty."""
    query = select(
        func.clock_timestamp(),
        and_(
            func.pg_try_advisory_xact_lock_shared(LOCK),
            func.pg_try_advisory_xact_lock(LOCK, no),
        ),
    )
    now, ours = (await connection.execute(query)).one()
    return now, bool(ours)

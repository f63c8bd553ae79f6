"""What came in from citizens, so that nothing that comes twice is done twice."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.schema import inbound

#: No provider tries again so late.
_KEPT = timedelta(days=7)


async def is_new(connection: AsyncConnection, ref: str) -> bool:
    """Note a provider's own name for a message, in the transaction of what it does; False where it
    was noted before."""
    query = insert(inbound).values(ref=ref).on_conflict_do_nothing().returning(inbound.c.ref)
    return await connection.scalar(query) is not None


async def forget(connection: AsyncConnection) -> None:
    """Let go what nobody sends again."""
    await connection.execute(delete(inbound).where(inbound.c.received_at < func.now() - _KEPT))

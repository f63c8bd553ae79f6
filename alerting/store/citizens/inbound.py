"""Messages that came in from citizens, so that none takes effect twice.

Kept for ever, at a few bytes each: a message is signed without a time, so a copy of it could be
replayed as soon as it was forgotten.
"""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.schema import inbound


async def is_new(connection: AsyncConnection, ref: str) -> bool:
    """Note a provider's own name for a message, in the transaction of what it does; False where it
    was noted before."""
    query = insert(inbound).values(ref=ref).on_conflict_do_nothing().returning(inbound.c.ref)
    return await connection.scalar(query) is not None

"""What came in from citizens, so that nothing that comes twice is done twice.

Kept for ever, for a few bytes each: a message is signed without a time, and whoever has a copy of
one could stop or start somebody's messages with it as soon as it was forgotten.
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

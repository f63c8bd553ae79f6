"""What a client's idempotency keys were first used for."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.schema import idempotency


async def remembered(
    connection: AsyncConnection, owner: str, key: str
) -> tuple[bytes, UUID] | None:
    """What an idempotency key was first used for: (request hash, alert id)."""
    query = select(idempotency.c.request_hash, idempotency.c.alert_id).where(
        idempotency.c.owner == owner, idempotency.c.key == key
    )
    row = (await connection.execute(query)).first()
    return None if row is None else (bytes(row.request_hash), row.alert_id)


async def remember(
    connection: AsyncConnection, owner: str, key: str, request_hash: bytes, alert_id: UUID
) -> None:
    """Bind an idempotency key to its alert, in the transaction that stores the alert. An earlier
    binding is replaced."""
    values = {"request_hash": request_hash, "alert_id": alert_id}
    new = insert(idempotency).values(owner=owner, key=key, **values)
    await connection.execute(
        new.on_conflict_do_update(index_elements=["owner", "key"], set_=values)
    )

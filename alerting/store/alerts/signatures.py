"""Signatures of alerts, which are compared to find one event. Stored, because computing one
costs as much as reading a large alert, and every process compares hundreds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.schema import alert_signature


async def keep(connection: AsyncConnection, bodies: Mapping[UUID, bytes], *, version: int) -> None:
    """Store these, replacing those of an earlier version of the program."""
    if not bodies:
        return
    rows = [{"alert_id": a, "version": version, "body": body} for a, body in bodies.items()]
    query = insert(alert_signature)
    newer = {"version": query.excluded.version, "body": query.excluded.body}
    await connection.execute(
        query.on_conflict_do_update(index_elements=["alert_id"], set_=newer), rows
    )


async def kept(
    connection: AsyncConnection, alert_ids: Sequence[UUID], *, version: int
) -> dict[UUID, bytes]:
    """The stored signatures of these alerts that this version of the program made."""
    if not alert_ids:
        return {}
    query = select(alert_signature.c.alert_id, alert_signature.c.body).where(
        alert_signature.c.alert_id.in_(alert_ids), alert_signature.c.version == version
    )
    return {row.alert_id: bytes(row.body) for row in await connection.execute(query)}

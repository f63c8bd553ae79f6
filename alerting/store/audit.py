"""Who did what to what, kept beside what it changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.schema import audit


async def record(
    connection: AsyncConnection,
    actor: str,
    action: str,
    subject: str,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write one line in the transaction of the change itself: both stand or neither.

    actor: `person:NAME`, `person:NAME key:KEY`, `key:KEY` for a machine, `uid:NUMBER` for
    operator's work by nobody known, `citizen` or `scheduler`. detail never holds an address, token
    or text.
    """
    await connection.execute(
        insert(audit).values(actor=actor, action=action, subject=subject, detail=detail or {})
    )

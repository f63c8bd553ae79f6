"""Receipts as providers send them, kept before they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.schema import receipt


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """One report about one delivery, in the provider's words."""

    channel: str
    delivery_id: int
    provider_ref: str
    status: str
    code: str


async def add(connection: AsyncConnection, receipts: Sequence[NewReceipt]) -> None:
    """Keep them; one that came before is the same receipt and is kept once."""
    if receipts:
        await connection.execute(
            insert(receipt).on_conflict_do_nothing(), [asdict(r) for r in receipts]
        )

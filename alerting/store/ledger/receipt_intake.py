"""Receipts as providers send them, kept before they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.db import AWAY, Database, raw

#: One statement whatever their number: of a burst's cost most is round trips.
_ADD = """
    insert into receipt (channel, delivery_id, provider_ref, status, code)
    select * from unnest(%(channel)s::text[], %(delivery_id)s::int8[], %(provider_ref)s::text[],
                         %(status)s::text[], %(code)s::text[])
    on conflict do nothing"""

#: Receipts come in bursts as large as the alert; one insert takes this many.
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """One report about one delivery, in the provider's words."""

    channel: str
    delivery_id: int
    provider_ref: str
    status: str
    code: str


async def add(connection: AsyncConnection, receipts: Sequence[NewReceipt]) -> None:
    """Store them. A repeated receipt is stored once."""
    if receipts:
        driver = await raw(connection)
        await driver.execute(
            _ADD,
            {
                "channel": [r.channel for r in receipts],
                "delivery_id": [r.delivery_id for r in receipts],
                "provider_ref": [r.provider_ref for r in receipts],
                "status": [r.status for r in receipts],
                "code": [r.code for r in receipts],
            },
        )


class Intake:
    """Stores receipts in batches. `keep` returns when its receipt is durable.

    While one batch is written the next gathers, so a burst costs few transactions and a single
    receipt never waits. Bound to the event loop it is used on.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[tuple[NewReceipt, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, receipt: NewReceipt) -> None:
        """Store one receipt. Raises the database's error, on which the provider retries."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((receipt, kept))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await kept

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            await self._write_batch(batch)

    async def _write_batch(self, batch: list[tuple[NewReceipt, asyncio.Future[None]]]) -> None:
        try:
            async with self._db.begin() as connection:
                await add(connection, [r for r, _ in batch])
        except Exception as e:
            if len(batch) > 1 and not isinstance(e, AWAY):
                # One that the database refuses must not take the others with it.
                for one in batch:
                    await self._write_batch([one])
                return
            for _, kept in batch:
                if not kept.done():
                    kept.set_exception(e)
        else:
            for _, kept in batch:
                if not kept.done():
                    kept.set_result(None)

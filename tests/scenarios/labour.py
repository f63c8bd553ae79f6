"""Workers that come, do what they find and go."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from dispatch_harness import DispatchHarness
from sqlalchemy import text

_FREE = "update outbox set lease_until = now() - interval '1 s' where state = 'leased'"
_DUE = "select count(*) from outbox where state in ('ready','leased') and not_before <= now()"


async def work(harness: DispatchHarness, *, alone: bool = True) -> None:
    """One worker's round, and one of maintenance.

    alone: no other worker lives, so that what a dead one held is free.
    """
    if alone:
        async with harness.db.begin() as connection:
            await connection.execute(text(_FREE))
    before = asyncio.all_tasks()
    with suppress(asyncio.CancelledError):
        await harness.worker().sweep_in_order()
    # A killed process does nothing more.
    mine = asyncio.all_tasks() - before
    for task in mine:
        task.cancel()
    await asyncio.gather(*mine, return_exceptions=True)
    await harness.maintenance().run_once()


async def idle(harness: DispatchHarness, *, alone: bool = True) -> None:
    """Rounds until nothing is left to do now."""
    for _ in range(6):
        await work(harness, alone=alone)
        async with harness.db.begin() as connection:
            if not await connection.scalar(text(_DUE)):
                return
    raise AssertionError("the workers come to no end")

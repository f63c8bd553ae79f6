"""Background tasks on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_AGAIN_S = 5.0


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` in the background while the block lasts; cancel it at the end.

    Raises at the end of the block what the work raised before.
    """
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(task)
        if not task.cancelled():
            task.result()


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks and return once all have ended; what they raised is left with them.

    Cancels again where that takes long: before Python 3.12, `asyncio.wait_for` loses a cancel that
    comes in the turn in which its wait ends (gh-86296), and libraries call it.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()

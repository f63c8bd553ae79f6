"""One long-lived event loop on its own thread, for callers that are not asynchronous.

Celery's children run plain functions. Connections, pools and clients live on this loop for as
long as the child does; nothing is opened before the fork or per task.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

import uvloop

H = TypeVar("H")
T = TypeVar("T")


class LoopThread(Generic[H]):
    """Holds what `open_host` opens, on a loop of its own, until `close`.

    The constructor returns when the host is open and raises what opening it raised.
    """

    def __init__(self, open_host: Callable[[], AbstractAsyncContextManager[H]]) -> None:
        self._open_host = open_host
        self._ready: Future[H] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)
        self._thread.start()
        self.host = self._ready.result()

    def call(self, make: Callable[[H], Coroutine[Any, Any, T]]) -> T:
        """Run one coroutine on the loop and wait for its result."""
        if self._loop is None:
            raise RuntimeError("the loop is closed")
        return asyncio.run_coroutine_threadsafe(make(self.host), self._loop).result()

    def close(self, timeout_s: float = 10) -> None:
        """Close the host and end the thread."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._hold())

    async def _hold(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        try:
            async with self._open_host() as host:
                self._ready.set_result(host)
                await self._end.wait()
        except BaseException as e:
            if self._ready.done():
                raise
            self._ready.set_exception(e)
        finally:
            self._loop = None

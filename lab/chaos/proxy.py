"""A TCP proxy that injects faults: resets, stalls, silence, lost answers."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

_CHUNK = 1 << 16
#: SO_LINGER with no time: closing sends RST instead of FIN.
_AT_ONCE = struct.pack("ii", 1, 0)


class Mode(StrEnum):
    PASS = "pass"  # noqa: S105 - not a password
    #: Nothing moves, in either direction; all of it does afterwards.
    STALL = "stall"
    #: Connections are taken and what comes is thrown away; they stay silent for ever.
    HALF_OPEN = "half-open"
    #: What is asked reaches the server, and the connection is reset in the place of its answer.
    DROP = "drop"
    #: No connection is taken; those there are have been reset.
    REFUSE = "refuse"


class Proxy:
    """Listens on a free loopback port and passes everything to `server` until a fault is set.

    Args:
        server: A host and port, or the path of a unix socket. Lives on one event loop.
    """

    def __init__(self, server: tuple[str, int] | Path) -> None:
        self._server = server
        self._mode = Mode.PASS
        self._moving = asyncio.Event()
        self._moving.set()
        self._listener: asyncio.Server | None = None
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self.port = 0

    async def open(self) -> None:
        self._listener = await asyncio.start_server(
            self._take, "127.0.0.1", self.port, limit=_CHUNK
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._deafen()
        self.reset()
        self._moving.set()
        if self._links:
            await asyncio.wait(self._links.values())

    async def set(self, mode: Mode) -> None:
        """From now on, handle traffic as `mode` says."""
        if self._mode is Mode.REFUSE and mode is not Mode.REFUSE:
            await self.open()
        self._mode = mode
        if mode is Mode.STALL:
            self._moving.clear()
        else:
            self._moving.set()
        if mode is Mode.REFUSE:
            self._deafen()
            self.reset()

    def aim(self, server: tuple[str, int] | Path) -> None:
        """From now on, connect to another server; open connections to the old one are reset."""
        self._server = server
        self.reset()

    def reset(self) -> int:
        """Reset every open connection, on both sides; returns how many."""
        count = len(self._links)
        for link in list(self._links):
            link.reset()
        return count

    def _deafen(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link, task = _Link(writer), asyncio.current_task()
        if task is None:
            raise RuntimeError("A connection is served by a task.")
        self._links[link] = task
        try:
            await self._moving.wait()
            await link.reach(self._server)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(link, reader, link.server, answers=False))
                both.create_task(self._pump(link, link.from_server, writer, answers=True))
        except* OSError:
            pass
        finally:
            link.reset()
            del self._links[link]

    async def _pump(
        self,
        link: _Link,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        answers: bool,
    ) -> None:
        while data := await source.read(_CHUNK):
            await self._moving.wait()
            if self._mode is Mode.HALF_OPEN:
                link.silent = True
            if link.silent:
                continue
            if self._mode is Mode.DROP and answers:
                link.reset()
                return
            sink.write(data)
            await sink.drain()
        if not link.silent and sink.can_write_eof():
            with suppress(OSError):
                sink.write_eof()


class _Link:
    """A client's connection and the proxy's own to the server."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self._client = client
        self._to_server: asyncio.StreamWriter | None = None
        self._from_server: asyncio.StreamReader | None = None
        self.silent = False

    @property
    def server(self) -> asyncio.StreamWriter:
        if self._to_server is None:
            raise RuntimeError("The server has not been reached yet.")
        return self._to_server

    @property
    def from_server(self) -> asyncio.StreamReader:
        if self._from_server is None:
            raise RuntimeError("The server has not been reached yet.")
        return self._from_server

    async def reach(self, server: tuple[str, int] | Path) -> None:
        opened = (
            asyncio.open_unix_connection(server, limit=_CHUNK)
            if isinstance(server, Path)
            else asyncio.open_connection(*server, limit=_CHUNK)
        )
        self._from_server, self._to_server = await opened

    def reset(self) -> None:
        for writer in (self._client, self._to_server):
            if writer is None:
                continue
            inner = writer.get_extra_info("socket")
            if inner is not None and inner.family == socket.AF_INET and inner.fileno() >= 0:
                with suppress(OSError):
                    inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()

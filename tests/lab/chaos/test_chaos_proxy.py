"""The proxy does to real connections what its modes say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from lab.chaos.proxy import Mode, Proxy


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """A proxy before a server that says everything back; and what that server heard."""
    heard: list[bytes] = []
    talks: set[asyncio.Task[None]] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        talks.add(talk)
        talk.add_done_callback(talks.discard)
        try:
            while data := await reader.read(1000):
                heard.append(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(("127.0.0.1", server.sockets[0].getsockname()[1]))
    await proxy.open()
    try:
        yield proxy, heard
    finally:
        await proxy.close()
        server.close()
        await asyncio.wait_for(gone(talks), 60)


async def gone(talks: set[asyncio.Task[None]]) -> None:
    while talks:
        await asyncio.wait(talks)


Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Proxy], Awaitable[Link]]]:
    """Connects, and closes what was connected."""
    links: list[Link] = []

    async def act(proxy: Proxy) -> Link:
        links.append(await asyncio.open_connection("127.0.0.1", proxy.port))
        return links[-1]

    yield act
    for _, writer in links:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


Connect = Callable[[Proxy], Awaitable[Link]]


async def say(link: Link, words: bytes, wait_s: float = 60) -> bytes:
    link[1].write(words)
    return await asyncio.wait_for(link[0].read(1000), wait_s)


async def test_proxy_passes_data(connect: Connect) -> None:
    async with echoing() as (proxy, _):
        link = await connect(proxy)
        assert await say(link, b"one") == b"one"
        assert await say(link, b"two") == b"two"


async def test_proxy_reset_ends_open_connections(connect: Connect) -> None:
    async with echoing() as (proxy, _):
        link = await connect(proxy)
        await say(link, b"one")
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            await say(link, b"two")
        assert await say(await connect(proxy), b"three") == b"three"


async def test_proxy_stall_delays_data(connect: Connect) -> None:
    async with echoing() as (proxy, heard):
        link = await connect(proxy)
        await say(link, b"one")
        await proxy.set(Mode.STALL)
        with pytest.raises(TimeoutError):
            await say(link, b"two", 0.1)
        assert heard == [b"one"]
        await proxy.set(Mode.PASS)
        assert await asyncio.wait_for(link[0].read(1000), 60) == b"two"


async def test_proxy_half_open_connections_stay_silent(connect: Connect) -> None:
    async with echoing() as (proxy, heard):
        link = await connect(proxy)
        await say(link, b"one")
        await proxy.set(Mode.HALF_OPEN)
        with pytest.raises(TimeoutError):
            await say(link, b"two", 0.1)
        await proxy.set(Mode.PASS)
        with pytest.raises(TimeoutError):
            await say(link, b"three", 0.1)
        assert heard == [b"one"]
        assert await say(await connect(proxy), b"four") == b"four"


async def test_proxy_drops_answers_after_delivery(connect: Connect) -> None:
    async with echoing() as (proxy, heard):
        link = await connect(proxy)
        await proxy.set(Mode.DROP)
        with pytest.raises(ConnectionResetError):
            await say(link, b"one")
        assert heard == [b"one"]


async def test_proxy_refuses_and_resumes_on_the_same_port(connect: Connect) -> None:
    async with echoing() as (proxy, _):
        port = proxy.port
        await proxy.set(Mode.REFUSE)
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy)
        await proxy.set(Mode.PASS)
        assert proxy.port == port
        assert await say(await connect(proxy), b"one") == b"one"


async def test_proxy_without_server_resets(tmp_path: Path, connect: Connect) -> None:
    proxy = Proxy(tmp_path / "nobody")
    await proxy.open()
    with pytest.raises(ConnectionResetError):
        await say(await connect(proxy), b"one")
    await proxy.close()

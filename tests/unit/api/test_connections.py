"""A real server, and clients that do not behave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from loop_clock import put_forward
from uvicorn.server import ServerState

from alerting.api.connections import BoundedProtocol

LINGER_S = 60.0


class Hasty(BoundedProtocol):
    head_s, piece_s, body_s = LINGER_S, LINGER_S, 3 * LINGER_S
    connections_each = 3


class Strict(Hasty):
    """To which everybody is a stranger."""

    def _is_stranger(self, address: str) -> bool:
        return True


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body, unless the address tells it not to read one."""
    size, more = 0, scope["path"] != "/unread"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def served(protocol: type[BoundedProtocol]) -> AsyncIterator[int]:
    config = uvicorn.Config(app, http=protocol, ws="none", port=0, log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async for found in served(Hasty):
        yield found


@pytest.fixture
async def port_for_strangers() -> AsyncIterator[int]:
    async for found in served(Strict):
        yield found


async def passes(seconds: float) -> None:
    """So much time goes by, as the server sees it, and it has a chance to do something."""
    await asyncio.sleep(0.002)
    put_forward(seconds)


async def to_the_end(port: int, *parts: bytes, pause_s: float = 0) -> bytes:
    """What a client hears that sends these parts and then waits until it is hung up on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            try:
                await writer.drain()
            except ConnectionError:
                break
            await passes(pause_s)
        heard = asyncio.ensure_future(reader.read(-1))
        # Only a server that waits for ever sees all of this.
        for _ in range(1000):
            if heard.done():
                break
            await passes(LINGER_S / 4)
        assert heard.done()
        try:
            return await heard
        except ConnectionError:
            return b""
    finally:
        writer.close()


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


async def test_silent_client_is_disconnected(port: int) -> None:
    assert await to_the_end(port) == b""


async def test_half_a_head_times_out(port: int) -> None:
    assert (await to_the_end(port, b"GET / HTTP/1.1\r\nHost:")).startswith(b"HTTP/1.1 408 ")


async def test_slow_head_times_out(port: int) -> None:
    drops = [b"GET / HTTP/1.1\r\n", *([b"A: b\r\n"] * 20)]
    heard = await to_the_end(port, *drops, pause_s=LINGER_S / 4)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 408 ")


async def test_half_a_body_times_out(port: int) -> None:
    assert (await to_the_end(port, POST, b"12345")).startswith(b"HTTP/1.1 408 ")


async def test_slow_body_times_out(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    heard = await to_the_end(port, head, *([b"x"] * 40), pause_s=LINGER_S / 4)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 408 ")


async def test_unread_body_does_not_time_out(port: int) -> None:
    heard = await to_the_end(port, POST.replace(b"POST /", b"POST /unread"), b"123")
    assert heard.startswith(b"HTTP/1.1 200 ")
    assert b"408" not in heard


async def test_endless_head_is_refused(port: int) -> None:
    more = b"A: " + b"x" * 10_000 + b"\r\n"
    heard = await to_the_end(port, b"GET / HTTP/1.1\r\n", *([more] * 10), pause_s=0.01)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 431 ")


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


@pytest.mark.parametrize("piece", [b"a:b\r\n" * 2_000, b"x" * 10_000], ids=["many", "one"])
async def test_endless_trailers_are_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    most, taken = 0, 0
    received = Hasty.data_received

    def watched(self: Hasty, data: bytes) -> None:
        nonlocal most, taken
        received(self, data)
        most, taken = max(most, len(self.headers)), taken + len(data)

    monkeypatch.setattr(Hasty, "data_received", watched)
    heard = await to_the_end(port, CHUNKED + b"0\r\n", *([piece] * 200))
    assert heard == b"" or heard.startswith(b"HTTP/1.1 431 ")
    # No longer than the head was, whatever followed it.
    assert most == 2
    assert taken < 700_000


async def test_trailer_is_skipped(port: int) -> None:
    whole = CHUNKED + b"2\r\nbc\r\n0\r\nExpires: 0\r\n\r\n"
    heard = await to_the_end(port, whole)
    assert heard.startswith(b"HTTP/1.1 200 ")
    assert heard.endswith(b"3\r\n0\r\n\r\n")


async def test_blank_lines_do_not_keep_a_connection(port: int) -> None:
    whole = POST + b"1234567890"
    heard = await to_the_end(port, whole, *([b"\r\n"] * 20), pause_s=LINGER_S / 4)
    # Hung up on while the drops still came, it may not hear the answer.
    assert heard == b"" or heard.count(b"HTTP/1.1 200 ") == 1


async def test_good_client_keeps_its_connection(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(POST + b"1234567890")
        heard = await reader.readuntil(b"0\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 200 ")
        await passes(LINGER_S / 2)
    writer.close()


async def test_one_network_cannot_take_all_connections(port_for_strangers: int) -> None:
    kept = [await asyncio.open_connection("127.0.0.1", port_for_strangers) for _ in range(3)]
    assert await to_the_end(port_for_strangers, POST + b"1234567890") == b""
    for _, writer in kept:
        writer.close()
        await writer.wait_closed()
    while Hasty._open:  # noqa: ASYNC110 - nor for a connection that was lost
        await asyncio.sleep(0.01)
    heard = await to_the_end(port_for_strangers, POST + b"1234567890")
    assert heard.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("address", "strange"), [("127.0.0.1", False), ("10.1.2.3", False), ("8.8.8.8", True)]
)
def test_is_stranger_by_address(address: str, strange: bool) -> None:
    config = uvicorn.Config(app, http=Hasty)
    protocol = Hasty(config, ServerState(), {}, asyncio.new_event_loop())
    assert protocol._is_stranger(address) is strange
    protocol.loop.close()


async def test_proxy_may_open_any_number(port: int) -> None:
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
    assert (await to_the_end(port, POST + b"1234567890")).startswith(b"HTTP/1.1 200 ")
    for _, writer in kept:
        writer.close()

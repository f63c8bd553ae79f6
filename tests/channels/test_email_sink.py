"""Postfix's own test server takes our mails: a receiver nobody here wrote."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_email_send import channel, message

SINK = shutil.which("smtp-sink", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

pytestmark = pytest.mark.skipif(
    SINK is None, reason="smtp-sink is not installed (Debian: apt-get install postfix)"
)


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[tuple[int, Path]]:
    """A running smtp-sink that appends every mail to a file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dump = tmp_path / "mails"
    process = await asyncio.create_subprocess_exec(
        str(SINK), "-u", "nobody", "-D", str(dump), f"127.0.0.1:{port}", "100",
        cwd=tmp_path,
    )  # fmt: skip
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                break
        yield port, dump
    finally:
        process.terminate()
        await process.wait()


async def test_smtp_sink_takes_our_mails(sink: tuple[int, Path]) -> None:
    port, _ = sink
    async with channel(port, connections=4) as email:
        outcomes = await asyncio.gather(*(email.send(message(n)) for n in range(1, 101)))
    assert all(o.accepted for o in outcomes)

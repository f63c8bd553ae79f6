"""Postfix's own test server takes our mails: a receiver nobody here wrote."""

from __future__ import annotations

import asyncio
import os
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
async def sink(tmp_path: Path) -> AsyncIterator[int]:
    """The port of a running smtp-sink that has taken its first connection."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    # smtp-sink refuses to run as root unless told whom to become.
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(
        str(SINK), *user, f"127.0.0.1:{port}", "100", cwd=tmp_path
    )
    try:
        for _ in range(500):
            if await _listens(port):
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("smtp-sink does not listen after 10 s.")
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_smtp_sink_takes_our_mails(sink: int) -> None:
    async with channel(sink, connections=4) as email:
        outcomes = await asyncio.gather(*(email.send(message(n)) for n in range(1, 101)))
    assert [o for o in outcomes if not o.accepted] == []

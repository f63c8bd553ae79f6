"""Postfix's own test server takes our mails: a receiver nobody here wrote."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from test_email_send import channel, message

from alerting.channels.base import AMBIGUOUS, PROVIDER_DOWN, ErrorClass

SINK = shutil.which("smtp-sink", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

pytestmark = pytest.mark.skipif(
    SINK is None, reason="smtp-sink is not installed (Debian: apt-get install postfix)"
)


@asynccontextmanager
async def smtp_sink(folder: Path, *options: str) -> AsyncIterator[int]:
    """The port of a running smtp-sink that has taken its first connection."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    # smtp-sink refuses to run as root unless told whom to become.
    user = ("-u", pwd.getpwuid(0).pw_name) if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(
        str(SINK), *user, *options, f"127.0.0.1:{port}", "100", cwd=folder
    )
    try:
        for _ in range(3_000):
            if await _listens(port):
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("smtp-sink does not listen after a minute.")
        yield port
    finally:
        if process.returncode is None:
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


@pytest.mark.parametrize("options", [(), ("-p",)], ids=["pipelining", "one by one"])
async def test_smtp_sink_takes_each_mail_once(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with (
        smtp_sink(tmp_path, *options, "-D", "mails") as port,
        channel(port, connections=4) as email,
    ):
        outcomes = await asyncio.gather(*(email.send(message(n)) for n in range(1, 101)))
    assert [o for o in outcomes if not o.accepted] == []
    to = re.findall(rb"^X-Rcpt-Args: <([^>]*)>", (tmp_path / "mails").read_bytes(), re.M)
    assert sorted(to) == sorted(f"citizen{n}@example.org".encode() for n in range(1, 101))


@pytest.mark.parametrize(
    ("option", "command", "error", "code"),
    [
        ("-q", "MAIL", PROVIDER_DOWN, ""),
        ("-q", "RCPT", PROVIDER_DOWN, ""),
        ("-q", "DATA", PROVIDER_DOWN, ""),
        ("-q", ".", AMBIGUOUS, ""),
        ("-Q", "RCPT", PROVIDER_DOWN, "421"),
        ("-Q", ".", PROVIDER_DOWN, "421"),
        ("-r", "RCPT", PROVIDER_DOWN, "450 4.3.0"),
        ("-r", ".", PROVIDER_DOWN, "450 4.3.0"),
        ("-f", "MAIL", PROVIDER_DOWN, "500 5.3.0"),
        ("-f", "DATA", PROVIDER_DOWN, "500 5.3.0"),
    ],
)
async def test_smtp_sink_failures_are_classified(
    tmp_path: Path, option: str, command: str, error: ErrorClass, code: str
) -> None:
    async with smtp_sink(tmp_path, option, command) as port, channel(port, connections=1) as email:
        for n in (1, 2):
            outcome = await email.send(message(n))
            assert outcome.error is error
            assert outcome.provider_code.startswith(code)

"""The carriers as a process: what they promise a kill, a taken port and an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from carrier_client import AUTH, FORM, MESSAGES

from alerting.embedded.carriers import log_path, read_log


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def _environment(var: Path, port: int, smtp_port: int) -> dict[str, str]:
    return os.environ | {
        "ALERTING_VAR": str(var),
        "ALERTING_SANDBOX_PORT": str(port),
        "ALERTING_SANDBOX_SMTP_PORT": str(smtp_port),
    }


@dataclass
class Running:
    process: asyncio.subprocess.Process
    http: aiohttp.ClientSession
    ready: str


@asynccontextmanager
async def _running(var: Path) -> AsyncIterator[Running]:
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alerting.cli", "carriers",
        env=_environment(var, port, _free_port()), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            ready = (await process.stderr.readline()).decode()
        assert "carriers.ready" in ready
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            yield Running(process, http, ready)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_accepted_messages_survive_a_kill(var):
    taken: list[str] = []

    async def send(http: aiohttp.ClientSession, lane: int) -> None:
        for n in range(10_000):
            form = FORM | {"To": f"+999{lane:03d}{n:06d}"}
            try:
                async with http.post(f"{MESSAGES}.json", data=form, headers=AUTH) as answer:
                    assert answer.status == 201
                    taken.append((await answer.json())["sid"])
            except aiohttp.ClientError:
                return

    async with _running(var) as running:
        senders = [asyncio.create_task(send(running.http, lane)) for lane in range(16)]
        async with asyncio.timeout(60):
            while len(taken) < 200:  # noqa: ASYNC110 - the senders raise no event
                await asyncio.sleep(0.005)
        running.process.kill()
        await asyncio.gather(*senders)
    with log_path(var, "sms").open("ab") as log:
        log.write(b'{"half":')
    logged = [line["id"] for line in read_log(var, "sms")]
    assert set(taken) <= set(logged)
    assert len(logged) == len(set(logged)) <= len(taken) + 16
    # After a new start the earlier messages can still be looked up, and the torn line is gone.
    async with _running(var) as running:
        async with running.http.get(f"{MESSAGES}/{taken[-1]}.json", headers=AUTH) as answer:
            assert (await answer.json())["status"] == "delivered"
        async with running.http.post(f"{MESSAGES}.json", data=FORM, headers=AUTH) as answer:
            assert answer.status == 201
    assert [line["id"] for line in read_log(var, "sms")][:-1] == logged


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_process_ends_cleanly_with_a_page_open(var, sig):
    async with _running(var) as running:
        assert running.ready.count("/sandbox") == 1
        async with running.http.get("/sandbox/events") as stream:
            await stream.content.readline()
            running.process.send_signal(sig)
            async with asyncio.timeout(60):
                assert await running.process.wait() == 0


@pytest.mark.parametrize("which", [0, 1])
def test_taken_port_is_named(var, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [_free_port(), _free_port()]
        ports[which] = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "alerting.cli", "carriers"],
            env=_environment(var, *ports),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 2
    assert f"Port {ports[which]} on 127.0.0.1 cannot be used" in ended.stderr
    assert ("ALERTING_SANDBOX_PORT", "ALERTING_SANDBOX_SMTP_PORT")[which] in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (var / "carriers").exists()

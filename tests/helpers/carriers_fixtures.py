"""The carriers on free ports of this machine, in the test's own event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from carrier_client import Pusher, Receiver

from alerting.embedded.carriers.server import Where, serving
from alerting.settings import Settings


@pytest.fixture
def var(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
async def carriers(var: Path) -> AsyncIterator[Where]:
    settings = Settings(var=var, sandbox_port=0, sandbox_smtp_port=0)
    async with serving(settings) as carriers:
        yield carriers


@pytest.fixture
async def http(carriers: Where) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(carriers.http_url) as session:
        yield session


@pytest.fixture
def pusher(http: aiohttp.ClientSession, carriers: Where) -> Pusher:
    return Pusher(http, carriers.http_url)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    for path in ("/status", "/webhooks/twilio/status"):
        app.router.add_post(path, receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/status"
    yield receiver
    await runner.cleanup()

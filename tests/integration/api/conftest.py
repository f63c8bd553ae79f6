"""The whole application over a real database, asked in-process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from description import check
from served import PUBLIC, Served

from alerting.api import create_app
from alerting.bootstrap import Runtime
from alerting.citizen import router as citizen_pages
from alerting.domain.principal import internal
from alerting.settings import Settings
from alerting.store.admin import api_keys


@pytest.fixture
def api_settings(database_url: str, redis_url: str) -> Settings:
    """What the application is made of; a module may have its own."""
    return Settings(database_url=database_url, redis_url=redis_url, public_url=PUBLIC)


@pytest.fixture
def rate_clock() -> Callable[[], float]:
    """The clock of rate limits; a module may stop it."""
    return time.monotonic


@pytest.fixture
async def served(api_settings: Settings, rate_clock: Callable[[], float]) -> AsyncIterator[Served]:
    app = create_app(api_settings, citizen_pages, now_s=rate_clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app):
        runtime = Runtime.of(app)
        async with runtime.db.begin() as connection:
            key = await api_keys.create(
                connection, "centre", ["submit", "read"], senders=("*",), by=internal("test")
            )
        hooks = {"response": [_as_described]}
        async with httpx.AsyncClient(
            transport=transport, base_url=PUBLIC, event_hooks=hooks
        ) as http:
            yield Served(app, http, runtime, key)


async def _as_described(answer: httpx.Response) -> None:
    """Every answer that a test gets is one that the description has."""
    await answer.aread()
    check(answer)


@pytest.fixture
def alert_xml() -> bytes:
    return (Path(__file__).parents[3] / "examples" / "flood.xml").read_bytes()

"""The whole application over a real database, asked in-process."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
async def served(database_url: str, redis_url: str) -> AsyncIterator[Served]:
    settings = Settings(database_url=database_url, redis_url=redis_url, public_url=PUBLIC)
    app = create_app(settings, citizen_pages)
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

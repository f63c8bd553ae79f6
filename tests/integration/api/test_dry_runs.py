"""Dry runs leave to submissions what these need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from served import Served
from sqlalchemy import text

from alerting.api.rate_limits import Rate
from alerting.domain.principal import internal
from alerting.store.admin import api_keys


async def another_key(served: Served, name: str) -> dict[str, str]:
    async with served.runtime.db.begin() as c:
        key = await api_keys.create(
            c, name, ["submit", "read"], senders=("*",), by=internal("test")
        )
    return {"Authorization": f"Bearer {key}"}


async def dry_run(served: Served, data: bytes, auth: dict[str, str]) -> httpx.Response:
    headers = {**auth, "Content-Type": "application/cap+xml"}
    return await served.http.post("/v1/alerts?dry_run=true&now=true", content=data, headers=headers)


@asynccontextmanager
async def held_up(served: Served) -> AsyncIterator[None]:
    """Nobody can write an alert."""
    async with served.runtime.db.begin() as c:
        await c.execute(text("lock table alert in exclusive mode"))
        yield


async def waiting(served: Served, count: int) -> None:
    """Until so many wait for what is locked; too few run into the test's time."""
    query = text("select count(*) from pg_locks where not granted and relation = 'alert'::regclass")
    while True:
        async with served.runtime.db.begin() as c:
            if await c.scalar(query) == count:
                return
        await asyncio.sleep(0.01)


async def test_two_dry_runs_at_once_and_one_per_key(served: Served, alert_xml: bytes) -> None:
    auths = [served.auth, await another_key(served, "b"), await another_key(served, "c")]
    async with held_up(served):
        first = asyncio.create_task(dry_run(served, alert_xml, auths[0]))
        await waiting(served, 1)
        same = await dry_run(served, alert_xml, auths[0])
        second = asyncio.create_task(dry_run(served, alert_xml, auths[1]))
        await waiting(served, 2)
        third = await dry_run(served, alert_xml, auths[2])
    for refused in (same, third):
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "1"
    assert [(await first).status_code, (await second).status_code] == [200, 200]
    # What has ended makes room.
    assert (await dry_run(served, alert_xml, auths[2])).status_code == 200


async def test_dry_run_counts_as_several_requests(served: Served, alert_xml: bytes) -> None:
    served.app.state.rates.key = Rate(10, burst_s=3, now_s=lambda: 0.0)
    statuses = [(await dry_run(served, alert_xml, served.auth)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


async def test_dry_run_without_free_connection_is_503(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = served.runtime.db._engine.sync_engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.05)
    async with AsyncExitStack() as lent:
        for _ in range(pool.size()):  # type: ignore[attr-defined]
            await lent.enter_async_context(served.runtime.db.begin())
        answer = await served.http.get("/v1/alerts/x", headers=served.auth)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert (await served.http.get("/v1/alerts/x", headers=served.auth)).status_code == 404

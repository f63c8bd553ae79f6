"""A million who open one public alert: it is parsed once, and each page rendered once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from served import Served
from sqlalchemy import update

from alerting.citizen import page_cache
from alerting.citizen.alert_page import Reading
from alerting.citizen.page_cache import PageCache
from alerting.store.schema import alert


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often what costs was done, really done as ever."""
    count: Counter[str] = Counter()
    for name in ("from_json", "alert_page"):
        real = getattr(page_cache, name)

        def counted(*args: Any, name: str = name, real: Any = real, **more: Any) -> Any:
            count[name] += 1
            return real(*args, **more)

        monkeypatch.setattr(page_cache, name, counted)
    return count


@pytest.fixture
def seconds(served: Served) -> list[float]:
    """The time that pages see."""
    now = [0.0]
    served.app.state.page_cache = PageCache(now_s=lambda: now[0])
    return now


async def issue(served: Served, body: bytes) -> tuple[str, str]:
    """A public alert's id and its short path."""
    answer = await served.http.post(
        "/v1/alerts?now=true",
        content=body,
        headers={**served.auth, "Content-Type": "application/cap+xml"},
    )
    id_ = str(answer.json()["id"])
    async with served.runtime.db.begin() as c:
        code = await c.scalar(alert.select().with_only_columns(alert.c.code))
    return id_, f"/{code}"


async def test_cache_parses_once_and_keeps_a_page_per_language(
    served: Served, alert_xml: bytes, done: Counter[str], seconds: list[float]
) -> None:
    id_, code = await issue(served, alert_xml)
    first = await asyncio.gather(*(served.http.get(code) for _ in range(20)))
    assert {a.status_code for a in first} == {200}
    assert (done["from_json"], done["alert_page"]) == (1, 1)
    for n in range(50):
        # Whatever is asked for, the alert has two languages.
        for query in (f"lang=en-x{n}", f"q{n}={n}", f"lang=qq{n}&lang=zz", "lang=es-MX"):
            assert (await served.http.get(f"{code}?{query}")).status_code == 200
        seconds[0] += 2
    assert done["from_json"] == 1
    assert done["alert_page"] <= 4
    # However the id is spelt.
    for spelt in (id_, id_.upper(), id_.replace("-", ""), f"%7B{id_}%7D"):
        assert (await served.http.get(f"/a/{spelt}")).status_code == 200
    assert done["from_json"] == 2
    assert done["alert_page"] <= 5


async def test_cache_shows_an_end_within_a_second(
    served: Served, alert_xml: bytes, done: Counter[str], seconds: list[float]
) -> None:
    id_, code = await issue(served, alert_xml)
    before = await served.http.get(code)
    async with served.runtime.db.begin() as c:
        await c.execute(update(alert).values(state="cancelled", audience=1))
    seconds[0] += 0.9
    assert (await served.http.get(code)).text == before.text
    seconds[0] += 0.1
    after = await served.http.get(code)
    assert "has been cancelled" in after.text
    assert after.headers["etag"] != before.headers["etag"]
    again = await served.http.get(code, headers={"If-None-Match": after.headers["etag"]})
    assert again.status_code == 304
    assert done["from_json"] == 1
    async with served.runtime.db.begin() as c:
        await c.execute(update(alert).where(alert.c.id == UUID(id_)).values(state="held"))
    seconds[0] += 1
    assert (await served.http.get(code)).status_code == 404


async def test_cache_keeps_no_missing_page(served: Served, seconds: list[float]) -> None:
    for _ in range(10):
        assert (await served.http.get(f"/a/{uuid4()}")).status_code == 404
    memory: PageCache = served.app.state.page_cache
    assert not memory._known
    assert not memory._turns


async def test_cache_is_bounded(
    served: Served, alert_xml: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.app.state.page_cache = memory = PageCache(most_bytes=20_000)
    monkeypatch.setattr(page_cache, "_MOST_ALERTS", 3)
    for n in range(6):
        id_, _ = await issue(served, alert_xml.replace(b"0001", str(n).encode()))
        for language in ("en", "es", "ar", "fr"):
            assert (await served.http.get(f"/a/{id_}?lang={language}")).status_code == 200
    assert len(memory._known) == 3
    assert 0 < sum(len(p.body) for p in memory._pages.values()) <= 20_000
    assert all(isinstance(reading, Reading) for _, _, reading in memory._pages)

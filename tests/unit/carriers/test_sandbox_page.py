"""The phones page shows what arrived, live, and stays small however much arrives."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import aiohttp
import pytest
from carrier_client import AUTH, FORM, MESSAGES

from alerting.embedded.carriers import phones as screens
from alerting.embedded.carriers import read_log
from alerting.embedded.carriers.phones import Phones, phone_of
from alerting.embedded.carriers.received import Received


async def _sms(http: aiohttp.ClientSession, **change: str) -> None:
    async with http.post(f"{MESSAGES}.json", data=FORM | change, headers=AUTH) as answer:
        assert answer.status == 201


async def _page(http: aiohttp.ClientSession, **query: str) -> str:
    async with http.get("/sandbox", params=query) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_empty_page_says_what_to_do(http):
    page = await _page(http)
    assert "alerting submit" in page
    assert '<article class="phone"' not in page


async def test_page_shows_each_channel_on_one_phone(http, pusher, carriers):
    await _sms(http, To="+999000000007")
    await pusher.push("c7", {"title": "Flood in the valley", "body": "Leave now"})
    page = await _page(http)
    assert page.count('<article class="phone"') == 1
    for text in (FORM["Body"], "Flood in the valley", "Leave now", "+999000000007"):
        assert text in page


async def test_page_escapes_markup(http, pusher):
    hostile = '<script>alert(1)</script>" onload="x'
    await _sms(http, Body=hostile)
    await pusher.push("c7", {"title": hostile, "body": hostile, "lang": '"><img src=x>'})
    page = await _page(http, find=hostile)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert 'onload="x' not in page
    async with http.get("/sandbox") as answer:
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_page_is_self_contained(http):
    class Links(HTMLParser):
        found: list[str]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag in {"link", "script", "img", "iframe"}:
                self.found += [v for k, v in attrs if k in {"src", "href"} and v]

    links = Links()
    links.found = []
    links.feed(await _page(http))
    assert links.found
    for link in links.found:
        assert link.startswith("/sandbox/assets/")
        async with http.get(link) as answer:
            assert answer.status == 200
    async with http.get("/sandbox/assets/..%2fsandbox.py") as answer:
        assert answer.status == 404


async def _next(stream: aiohttp.ClientResponse) -> dict[str, object]:
    async with asyncio.timeout(60):
        async for line in stream.content:
            if line.startswith(b"data: "):
                event: dict[str, object] = json.loads(line[6:])
                return event
    raise AssertionError("The stream ended.")


async def test_page_receives_new_messages(http):
    async with http.get("/sandbox/events?since=0") as stream:
        assert stream.content_type == "text/event-stream"
        first = await _next(stream)
        assert first["phones"] == []
        await _sms(http)
        event = await _next(stream)
    (phone,) = event["phones"]
    assert phone["id"] == FORM["To"]
    assert FORM["Body"] in phone["html"]
    assert event["totals"]["accepted"]["sms"] == 1


async def test_page_merges_a_burst_into_few_events(http):
    async with http.get("/sandbox/events?since=0") as stream:
        await _next(stream)
        await asyncio.gather(*[_sms(http, To=f"+999{n:09d}") for n in range(300)])
        events = []
        while not events or events[-1]["totals"]["accepted"]["sms"] < 300:
            events.append(await _next(stream))
    assert len(events) < 30
    shown = {phone["id"] for event in events for phone in event["phones"]}
    assert len(shown) == screens.FRONT


async def test_page_shows_a_searched_phone(http):
    for n in range(12):
        await _sms(http, To=f"+999{n:09d}")
    assert "+999000000011" not in await _page(http)
    for wanted in ("+999000000011", "c11@example.org", "c11", "0011"):
        assert "+999000000011" in await _page(http, find=wanted)
    assert "No phone in view" in await _page(http, find="+447700900999")
    async with http.get("/sandbox/events?find=c11") as stream:
        await _next(stream)
        await _sms(http, To="+999000000011", Body="Second warning")
        event = await _next(stream)
    assert [p["id"] for p in event["phones"]] == ["+999000000011"]


async def test_clear_wipes_phones_but_not_the_log(http, var):
    await _sms(http)
    async with http.get("/sandbox/events?since=1") as stream:
        await _next(stream)
        async with http.delete("/sandbox/messages") as answer:
            assert answer.status == 204
        event = await _next(stream)
    assert event["cleared"] is True
    assert '<article class="phone"' not in await _page(http)
    assert len(list(read_log(var, "sms"))) == 1


async def test_page_of_earlier_run_starts_again(http):
    async with http.get("/sandbox/events?since=12345") as stream:
        assert (await _next(stream))["cleared"] is True


async def test_health_has_counts(http):
    await _sms(http)
    async with http.post(f"{MESSAGES}.json", data={}, headers=AUTH) as answer:
        assert answer.status == 400
    async with http.get("/sandbox/healthz") as answer:
        health = await answer.json()
    assert health["status"] == "ok"
    assert (health["accepted"]["sms"], health["refused"]["sms"]) == (1, 1)


def _push(to: str, title: str, tag: str) -> Received:
    return Received(
        at=datetime.now(UTC), channel="push", id="x", to=to, sender="", ref=None, body="",
        title=title, tag=tag,
    )  # fmt: skip


def test_notification_replaces_the_one_with_its_tag():
    phones = Phones()
    for title, tag in (("one", "a"), ("other", "b"), ("two", "a"), ("three", ""), ("four", "")):
        phones.show(_push("c1", title, tag))
    (phone,) = phones.front
    assert [m.title for m in phone.push] == ["four", "three", "two", "other"]
    assert phone.replaced["a"] == 1


def test_history_is_bounded(monkeypatch):
    monkeypatch.setattr(screens, "_PHONES", 20)
    phones = Phones()
    for n in range(100):
        phones.show(_push(f"c{n}", "t", ""))
    for n in range(200):
        phones.show(_push("c99", f"t{n}", f"tag{n}"))
    assert phones.count == 20
    assert phones.accepted["push"] == 300
    (last,) = phones.find("c99")
    assert len(last.push) < 20
    assert last.push[0].title == "t199"
    assert phones.find("c50") == []
    # The phones on the page stay, however many come after them.
    first = phones.find("c0")[0]
    phones.show(_push("c0", "again", ""))
    assert [m.title for m in first.push] == ["again", "t"]
    assert first in phones.front


@pytest.mark.parametrize(
    ("to", "phone"),
    [
        ("+999000000042", "+999000000042"),
        ("c42@example.org", "+999000000042"),
        ("c42", "+999000000042"),
        ("+447700900123", "+447700900123"),
        ("someone@example.org", "someone@example.org"),
        ("c42@example.com", "c42@example.com"),
    ],
)
def test_addresses_of_a_citizen_share_a_phone(to, phone):
    assert phone_of(to) == phone

"""A message whose answer was lost is found in Twilio's records, and no other is taken for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from provider_script import HALF, RESET, SILENCE, Reply, provider

from alerting.channels.base import CanLookUp, CannotLookUp, Outcome, Outgoing, Rendering
from alerting.channels.sms.twilio_sms import TwilioConfig, TwilioSms
from alerting.domain.lane import Lane

SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SID = "AC00000000000000000000000000000001"
SERVICE = "MG" + "0" * 32
NUMBER, OURS = "+447700900123", "+447700900000"
TEXT = "Flood warning for Exampleton: move to high ground — now. Ω"
PATH = f"/2010-04-01/Accounts/{SID}/Messages.json"


def message(**changes: Any) -> Outgoing:
    base: dict[str, Any] = {
        "delivery_id": 41,
        "endpoint": NUMBER,
        "rendering": Rendering("sms", "en", "", TEXT),
        "lane": Lane.SEVERE,
        "thread": "t1",
    }
    return Outgoing(**base | changes)


def resource(sid: str = "SM1", after_s: float = 1, **changes: Any) -> dict[str, Any]:
    created_at = SINCE + timedelta(seconds=after_s)
    return {
        "sid": sid, "to": NUMBER, "from": OURS, "messaging_service_sid": None, "body": TEXT,
        "status": "sent", "error_code": None, "direction": "outbound-api",
        "date_created": format_datetime(created_at), "date_sent": None, **changes,
    }  # fmt: skip


def page(*resources: dict[str, Any], more: str = "") -> Reply:
    return Reply(200, json.dumps({"messages": resources, "next_page_uri": more or None}).encode())


@asynccontextmanager
async def sms(url: str, **changes: Any) -> AsyncIterator[TwilioSms]:
    config: dict[str, Any] = {"default_sender": OURS, "timeout_s": 0.5} | changes
    channel = TwilioSms(TwilioConfig(account_sid=SID, auth_token="secret", base_url=url, **config))
    await channel.open()
    try:
        yield channel
    finally:
        await channel.close()


async def look_up(script: Reply | str, **changes: Any) -> Outcome | None:
    async with provider(script) as far, sms(far.url, **changes) as channel:
        return await channel.look_up(message(), since=SINCE)


async def test_look_up_queries_the_number_only() -> None:
    async with provider(page(resource())) as far, sms(far.url) as channel:
        assert isinstance(channel, CanLookUp)
        found = await channel.look_up(message(), since=SINCE)
    assert found == Outcome(41, provider_ref="SM1")
    [request] = far.seen
    assert urlsplit(request.path).path == PATH
    # A message in Twilio's queue has no DateSent, so it must not be filtered by it.
    assert parse_qs(urlsplit(request.path).query) == {"To": [NUMBER], "PageSize": ["50"]}
    assert request.headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "change",
    [
        {"body": "Another text"},
        {"from": "+447700900999"},
        {"direction": "inbound"},
        {"after_s": -60},
        {"messaging_service_sid": SERVICE, "from": "+447700900999"},
    ],
)
async def test_look_up_ignores_other_messages(change: dict[str, Any]) -> None:
    assert await look_up(page(resource(**change))) is None


@pytest.mark.parametrize(
    "change",
    [
        {"body": f"Sent from your Twilio trial account - {TEXT}"},
        {"body": f"{TEXT} "},
        {"after_s": -3},  # its clock is not ours
        {"status": "queued"},
        {"date_created": None},
    ],
)
async def test_look_up_matches_text_changed_by_twilio(change: dict[str, Any]) -> None:
    found = await look_up(page(resource(**change)))
    assert found is not None
    assert found.accepted


async def test_look_up_matches_messaging_service() -> None:
    ours = resource(messaging_service_sid=SERVICE, **{"from": "+447700900777"})
    found = await look_up(page(ours), default_sender="", messaging_service=SERVICE)
    assert found is not None
    assert await look_up(page(resource()), default_sender="", messaging_service=SERVICE) is None
    assert await look_up(page(resource()), default_sender="") is None


async def test_look_up_reports_later_failure() -> None:
    found = await look_up(page(resource(status="undelivered", error_code=30005)))
    assert found is not None
    assert found.error is not None
    assert (found.error.code, found.provider_ref, found.provider_code) == (
        "dead-address", "SM1", "30005",
    )  # fmt: skip


async def test_look_up_prefers_the_successful_try() -> None:
    tries = [
        resource("SM3", 3, status="failed", error_code=30008),
        resource("SM2", 2, status="delivered"),
        resource("SM1", 1, status="sent"),
        resource("SM0", -3600, status="delivered"),  # an earlier version with the same text
    ]
    found = await look_up(page(*tries))
    assert found == Outcome(41, provider_ref="SM2")


async def test_look_up_reads_pages_until_too_old() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query.get("Page", "0"))
        number = int(asked[-1])
        others = [resource(f"SM{n}", 5 - n / 100, body="x" * 1500) for n in range(50)]
        if number == 2:
            others = [resource("SM-it"), resource("SM-old", -3600)]
        more = f"{PATH}?To=%2B447700900123&PageSize=50&Page={number + 1}"
        body = {"messages": others, "next_page_uri": more}
        return web.json_response(body)

    app = web.Application()
    app.router.add_get(PATH, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with sms(f"http://127.0.0.1:{runner.addresses[0][1]}") as channel:
            found = await channel.look_up(message(), since=SINCE)
            assert found == Outcome(41, provider_ref="SM-it")
            assert asked == ["0", "1", "2"]
            # More than anybody reads through: that it is not there has not been seen.
            never_sent = message(rendering=Rendering("sms", "en", "", "Never sent"))
            with pytest.raises(CannotLookUp, match="too-many"):
                await channel.look_up(never_sent, since=SINCE - timedelta(days=900))
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "script",
    [
        RESET, SILENCE, HALF, Reply(200, b""), Reply(200, b"[]"), Reply(200, b"{}"),
        Reply(200, b'{"messages": 5}'), Reply(200, b'{"messages": [{"sid": 5}, 7]}'),
        Reply(302, b"", {"Location": "/elsewhere"}), Reply(404, b""), Reply(429, b""),
        Reply(500, b'{"code": 20500}'), Reply(401, b'{"code": 20003}'),
    ],
)  # fmt: skip
async def test_look_up_fails_on_incomplete_answer(script: Reply | str) -> None:
    with pytest.raises(CannotLookUp) as e:
        await look_up(script)
    assert NUMBER not in str(e.value)


async def test_look_up_fails_without_connection(unused_tcp_port: int) -> None:
    async with sms(f"http://127.0.0.1:{unused_tcp_port}") as channel:
        with pytest.raises(CannotLookUp):
            await channel.look_up(message(), since=SINCE)

"""The Twilio-shaped API answers as Twilio documents it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from carrier_client import AUTH, FORM, MESSAGES

from alerting.embedded.carriers import SANDBOX_ACCOUNT, read_log


async def test_accepted_message_is_queued_and_logged(http, var):
    form = FORM | {"StatusCallback": "http://127.0.0.1:9/status?delivery=4711"}
    async with http.post(f"{MESSAGES}.json", data=form, headers=AUTH) as answer:
        assert answer.status == 201
        message = await answer.json()
    assert re.fullmatch(r"SM[0-9a-f]{32}", message["sid"])
    assert message["status"] == "queued"
    assert message["to"] == FORM["To"]
    assert message["from"] == FORM["From"]
    assert message["body"] == FORM["Body"]
    assert message["num_segments"] == "1"
    assert message["account_sid"] == SANDBOX_ACCOUNT
    assert message["error_code"] is None
    assert message["uri"] == f"{MESSAGES}/{message['sid']}.json"
    made = parsedate_to_datetime(message["date_created"])
    assert abs(made - datetime.now(UTC)) < timedelta(minutes=1)
    (line,) = read_log(var, "sms")
    assert line["id"] == message["sid"]
    assert line["to"] == FORM["To"]
    assert line["sender"] == FORM["From"]
    assert line["ref"] == 4711
    assert line["body"] == FORM["Body"]
    assert line["segments"] == 1
    assert line["channel"] == "sms"
    assert datetime.fromisoformat(line["at"]).tzinfo is not None


async def test_messaging_service_accepts_before_choosing_a_number(http, var):
    service = "MG" + "0" * 32
    form = {"To": FORM["To"], "MessagingServiceSid": service, "Body": "é" * 100 + "ж"}
    async with http.post(f"{MESSAGES}.json", data=form, headers=AUTH) as answer:
        message = await answer.json()
    assert (message["status"], message["from"]) == ("accepted", None)
    assert message["messaging_service_sid"] == service
    assert message["num_segments"] == "2"
    (line,) = read_log(var, "sms")
    assert (line["sender"], line["ref"]) == (service, None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic bm9ib2R5OmF0LWFsbA=="},
        {"Authorization": AUTH["Authorization"].replace("Basic", "Bearer")},
        {"Authorization": "Basic \u00e9"},
    ],
)
async def test_wrong_account_token_is_refused(http, var, headers):
    async with http.post(f"{MESSAGES}.json", data=FORM, headers=headers) as answer:
        assert answer.status == 401
        assert "Basic" in answer.headers["WWW-Authenticate"]
        assert (await answer.json())["code"] == 20003
    async with http.get(f"{MESSAGES}.json", headers=headers) as answer:
        assert answer.status == 401
    assert list(read_log(var, "sms")) == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"To": None}, 400, 21604),
        ({"From": None}, 400, 21603),
        ({"Body": None}, 400, 21602),
        ({"Body": ""}, 400, 21602),
        ({"To": "07700900123"}, 400, 21211),
        ({"To": "+44"}, 400, 21211),
        ({"To": "+٤٤٧٧٠٠٩٠٠١٢٣"}, 400, 21211),
        ({"From": "+"}, 400, 21212),
        ({"From": "MuchTooLongName"}, 400, 21212),
        ({"MessagingServiceSid": "MGnone"}, 404, 21701),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"StatusCallback": "ftp://example.org/"}, 400, 21609),
        ({"ValidityPeriod": "0"}, 400, 21624),
        ({"ValidityPeriod": "36001"}, 400, 21624),
        ({"ValidityPeriod": "9" * 50}, 400, 21624),
        ({"ValidityPeriod": "soon"}, 400, 21624),
    ],
)
async def test_bad_messages_are_refused_with_twilio_codes(http, var, change, status, code):
    form = {k: v for k, v in (FORM | change).items() if v is not None}
    async with http.post(f"{MESSAGES}.json", data=form, headers=AUTH) as answer:
        error = await answer.json()
        assert (answer.status, error["status"]) == (status, status)
        assert error["code"] == code
        assert str(code) in error["more_info"]
        assert error["message"]
    assert list(read_log(var, "sms")) == []


@pytest.mark.parametrize(
    "change", [{"Body": "x" * 1600}, {"ValidityPeriod": "36000"}, {"From": "Alerts"}]
)
async def test_messages_at_the_limits_are_accepted(http, change):
    async with http.post(f"{MESSAGES}.json", data=FORM | change, headers=AUTH) as answer:
        assert answer.status == 201


async def _post(http: aiohttp.ClientSession, **change: str) -> str:
    async with http.post(f"{MESSAGES}.json", data=FORM | change, headers=AUTH) as answer:
        assert answer.status == 201
        return str((await answer.json())["sid"])


async def _list(http: aiohttp.ClientSession, **query: str) -> list[str]:
    async with http.get(f"{MESSAGES}.json", params=query, headers=AUTH) as answer:
        assert answer.status == 200
        return [m["sid"] for m in (await answer.json())["messages"]]


async def test_messages_can_be_looked_up(http):
    await http.post("/sandbox/faults", json={"sms": {"callback_delay_ms": 0}})
    first = await _post(http)
    other = await _post(http, To="+447700900456", From="Alerts")
    second = await _post(http)
    async with http.get(f"{MESSAGES}/{first}.json", headers=AUTH) as answer:
        assert (await answer.json())["status"] == "delivered"
    async with http.get(f"{MESSAGES}/SM{'0' * 32}.json", headers=AUTH) as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == 20404
    assert await _list(http) == [second, other, first]
    assert await _list(http, To=FORM["To"]) == [second, first]
    assert await _list(http, From="Alerts") == [other]
    assert await _list(http, To=FORM["To"], From="Alerts") == []
    today = datetime.now(UTC).date()
    assert len(await _list(http, DateSent=str(today))) == 3
    assert await _list(http, DateSent=str(today - timedelta(days=1))) == []
    assert len(await _list(http, **{"DateSent>": str(today)})) == 3
    assert await _list(http, **{"DateSent<": str(today - timedelta(days=1))}) == []
    assert await _list(http, PageSize="2", Page="1") == [first]


async def test_page_links_to_the_next(http):
    sids = [await _post(http) for _ in range(3)]
    query = {"PageSize": "2", "To": FORM["To"]}
    async with http.get(f"{MESSAGES}.json", params=query, headers=AUTH) as answer:
        page = await answer.json()
    assert [m["sid"] for m in page["messages"]] == [sids[2], sids[1]]
    async with http.get(page["next_page_uri"], headers=AUTH) as answer:
        page = await answer.json()
    assert [m["sid"] for m in page["messages"]] == [sids[0]]
    assert page["next_page_uri"] is None
    async with http.get(f"{MESSAGES}.json", params={"Page": "x"}, headers=AUTH) as answer:
        assert answer.status == 400


async def test_unknown_account_is_404(http):
    path = MESSAGES.replace(SANDBOX_ACCOUNT, "AC" + "0" * 32)
    async with http.post(f"{path}.json", data=FORM, headers=AUTH) as answer:
        assert answer.status == 404

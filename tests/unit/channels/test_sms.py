import asyncio
import json
import logging
from base64 import b64encode
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from provider_script import HALF, RESET, SILENCE, Reply, provider

from alerting.channels.base import (
    AMBIGUOUS,
    DEAD_ADDRESS,
    OPTED_OUT,
    OUR_FAULT,
    PROVIDER_DOWN,
    REFUSED_CONTENT,
    THROTTLED,
    TOO_LATE,
    Outgoing,
    Rendering,
)
from alerting.channels.sms.twilio_sms import TwilioConfig, TwilioSms
from alerting.clock import ManualClock
from alerting.domain.lane import Lane
from alerting.errors import BadInput
from alerting.settings import Settings

PATIENCE_S = 60
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SID = "AC00000000000000000000000000000001"
NUMBER = "+447700900123"
TEXT = "Flood warning for Exampleton: move to high ground — now. Ω"
CREATED = Reply(201, json.dumps({"sid": "SM77", "status": "queued", "error_code": None}).encode())


def config(url, **changes):
    base = {"default_sender": "+447700900000", "timeout_s": 5.0, "concurrency": 8}
    return TwilioConfig(account_sid=SID, auth_token="secret", base_url=url, **{**base, **changes})


def message(**changes):
    base = {
        "delivery_id": 41,
        "endpoint": NUMBER,
        "rendering": Rendering("sms", "en", "", TEXT),
        "lane": Lane.SEVERE,
        "thread": "t1",
    }
    return Outgoing(**{**base, **changes})


@asynccontextmanager
async def sms(url, **changes):
    channel = TwilioSms(config(url, **changes), clock=ManualClock(NOW))
    await channel.open()
    try:
        yield channel
    finally:
        await channel.close()


async def send(script, sent=None, **changes):
    """The outcome of one message to a provider scripted so, and what the provider saw."""
    async with (
        provider(script, silence_s=PATIENCE_S) as far,
        sms(far.url, **changes) as channel,
    ):
        return await channel.send(sent or message()), far.seen


async def test_send_posts_form_as_twilio_expects():
    outcome, seen = await send(
        CREATED,
        message(valid_until=NOW + timedelta(minutes=10)),
        status_callback_url="https://alerts.example.org/webhooks/twilio/status",
    )
    assert outcome.accepted
    assert (outcome.delivery_id, outcome.provider_ref) == (41, "SM77")
    [request] = seen
    assert request.path == f"/2010-04-01/Accounts/{SID}/Messages.json"
    assert (
        request.headers["Authorization"] == "Basic " + b64encode(f"{SID}:secret".encode()).decode()
    )
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.form == {
        "To": NUMBER,
        "From": "+447700900000",
        "Body": TEXT,
        "ValidityPeriod": "600",
        "StatusCallback": "https://alerts.example.org/webhooks/twilio/status?delivery=41",
    }


@pytest.mark.parametrize(
    ("lane", "changes", "field", "value"),
    [
        (Lane.ROUTINE, {}, "From", "+447700900000"),
        (Lane.EXTREME, {"senders": {Lane.EXTREME: "+447700900009"}}, "From", "+447700900009"),
        (Lane.SEVERE, {"senders": {Lane.EXTREME: "+447700900009"}}, "From", "+447700900000"),
        (Lane.ROUTINE, {"messaging_service": "MG1"}, "MessagingServiceSid", "MG1"),
        (
            Lane.DRILL,
            {"messaging_service": {Lane.DRILL: "MG2"}},
            "MessagingServiceSid",
            "MG2",
        ),
        (Lane.SEVERE, {"messaging_service": {Lane.DRILL: "MG2"}}, "From", "+447700900000"),
        (
            Lane.EXTREME,
            {"messaging_service": "MG1", "senders": {Lane.EXTREME: "+447700900009"}},
            "From",
            "+447700900009",
        ),
    ],
)
async def test_send_uses_sender_of_the_lane(lane, changes, field, value):
    _, [request] = await send(CREATED, message(lane=lane), **changes)
    assert request.form[field] == value
    assert len({"From", "MessagingServiceSid"} & request.form.keys()) == 1


@pytest.mark.parametrize("lane", Lane)
async def test_send_of_drill_uses_the_drill_sender(lane):
    own = {"senders": {Lane.EXTREME: "+447700900009", Lane.DRILL: "+447700900008"}}
    _, seen = await send(CREATED, message(lane=lane, drill=True), **own)
    assert seen[0].form["From"] == "+447700900008"
    _, seen = await send(CREATED, message(lane=Lane.DRILL, drill=True))
    assert seen[0].form["From"] == "+447700900000", "the account's own where there is no other"


@pytest.mark.parametrize("first", [True, False])
def test_account_takes_senders_from_settings(first):
    name = "twilio" if first else "twilio2"
    settings = Settings(
        **{
            f"{name}_account_sid": SID, f"{name}_auth_token": "t", f"{name}_from": "+447700900001",
            f"{name}_from_extreme": "+447700900002", f"{name}_from_drill": "+447700900003",
        }
    )  # fmt: skip
    (account,) = settings.twilio_accounts
    assert (account.from_, account.from_extreme, account.from_drill) == (
        "+447700900001", "+447700900002", "+447700900003",
    )  # fmt: skip


async def test_send_without_sender_calls_nobody():
    outcome, seen = await send(CREATED, default_sender="", senders={Lane.EXTREME: "+447700900009"})
    assert (outcome.error, outcome.provider_code) == (OUR_FAULT, "no-sender")
    assert not seen


@pytest.mark.parametrize(
    ("life", "validity"),
    [
        (timedelta(seconds=1), "1"),
        (timedelta(seconds=59.9), "59"),
        (timedelta(hours=10), "36000"),
        (timedelta(days=3), "36000"),
    ],
)
async def test_validity_period_follows_the_expiry(life, validity):
    _, [request] = await send(CREATED, message(valid_until=NOW + life))
    assert request.form["ValidityPeriod"] == validity


async def test_send_without_expiry_or_callback_omits_both():
    _, [request] = await send(CREATED)
    assert request.form.keys() == {"To", "From", "Body"}


@pytest.mark.parametrize("life_s", [-5, 0, 0.9])
async def test_send_after_expiry_calls_nobody(life_s):
    outcome, seen = await send(CREATED, message(valid_until=NOW + timedelta(seconds=life_s)))
    assert outcome.error is TOO_LATE
    assert not seen


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, 21610, OPTED_OUT),
        (400, 21211, DEAD_ADDRESS),
        (400, 21614, DEAD_ADDRESS),
        (400, 21617, REFUSED_CONTENT),
        (400, 21408, REFUSED_CONTENT),
        (400, 21612, REFUSED_CONTENT),
        (400, 21606, OUR_FAULT),
        (401, 20003, OUR_FAULT),
        (403, 30002, OUR_FAULT),
        (404, 20404, OUR_FAULT),
        (400, 21611, THROTTLED),
        (429, 20429, THROTTLED),
        (429, 63017, THROTTLED),
        (400, 29999, REFUSED_CONTENT),
        (503, 20503, PROVIDER_DOWN),
        (500, 20500, AMBIGUOUS),
    ],
)
async def test_refusal_is_classified_by_code(status, code, error):
    body = {"code": code, "message": f"about {NUMBER}", "more_info": "", "status": status}
    outcome, seen = await send(Reply(status, json.dumps(body).encode()))
    assert (outcome.error, outcome.provider_code) == (error, str(code))
    assert len(seen) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"code": "x"}', b"\xff\xfe", b"null"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, OUR_FAULT),
        (400, REFUSED_CONTENT),
        (401, OUR_FAULT),
        (404, OUR_FAULT),
        (422, REFUSED_CONTENT),
        (429, THROTTLED),
        (500, AMBIGUOUS),
        (502, AMBIGUOUS),
        (503, PROVIDER_DOWN),
        (504, AMBIGUOUS),
    ],
)
async def test_refusal_without_code_is_classified_by_status(status, body, error):
    outcome, seen = await send(Reply(status, body, {"Location": "/elsewhere"}))
    assert (outcome.error, outcome.provider_code) == (error, str(status))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("999999", 3600.0), ("soon", None), ("nan", None)],
)
async def test_retry_after_is_returned(header, wait_s):
    outcome, _ = await send(Reply(429, b"", {"Retry-After": header}))
    assert outcome.retry_after_s == wait_s


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"sid": null}',
        b'{"sid": ""}',
        b'{"sid": 5}',
        b'{"sid": "SM1", "body": "' + b"x" * 100_000 + b'"}',
    ],
)
async def test_unreadable_success_is_ambiguous(body):
    outcome, seen = await send(Reply(201, body))
    assert (outcome.error, outcome.provider_code) == (AMBIGUOUS, "malformed")
    assert len(seen) == 1


async def test_message_created_as_failed_is_not_accepted():
    created = {"sid": "SM5", "status": "failed", "error_code": 30005}
    outcome, _ = await send(Reply(201, json.dumps(created).encode()))
    assert outcome.error is DEAD_ADDRESS
    assert (outcome.provider_ref, outcome.provider_code) == ("SM5", "30005")


@pytest.mark.parametrize(
    ("script", "code"), [(RESET, "disconnect"), (SILENCE, "timeout"), (HALF, "malformed")]
)
async def test_lost_answer_is_ambiguous_and_not_retried(script, code):
    outcome, seen = await send(script, timeout_s=PATIENCE_S)
    assert (outcome.error, outcome.provider_code) == (AMBIGUOUS, code)
    assert len(seen) == 1


async def test_connection_failure_is_provider_down(unused_tcp_port):
    async with sms(f"http://127.0.0.1:{unused_tcp_port}") as channel:
        outcome = await channel.send(message())
    assert (outcome.error, outcome.provider_code) == (PROVIDER_DOWN, "connect")


async def test_tls_failure_is_provider_down():
    async with provider(CREATED) as far:
        async with sms(far.url.replace("http:", "https:")) as channel:
            outcome = await channel.send(message())
        assert outcome.error is PROVIDER_DOWN
        assert not far.seen


async def test_timeout_waiting_for_pool_is_not_ambiguous():
    async with (
        provider(SILENCE, silence_s=PATIENCE_S) as far,
        sms(far.url, concurrency=1, timeout_s=PATIENCE_S) as channel,
    ):
        outcomes = await asyncio.gather(*(channel.send(message(delivery_id=n)) for n in (1, 2)))
        assert len(far.seen) == 1
    assert [o.error for o in outcomes] == [AMBIGUOUS, PROVIDER_DOWN]


async def test_many_messages_share_the_pool():
    async with provider(CREATED) as far, sms(far.url, concurrency=4) as channel:
        outcomes = await asyncio.gather(*(channel.send(message(delivery_id=n)) for n in range(50)))
        assert len(far.seen) == 50
    assert [o.delivery_id for o in outcomes if o.accepted] == list(range(50))


async def test_closed_channel_can_be_reopened():
    async with provider(CREATED) as far, sms(far.url) as channel:
        await channel.close()
        with pytest.raises(RuntimeError, match="before it was opened"):
            await channel.send(message())
        await channel.open()
        assert (await channel.send(message())).accepted


@pytest.mark.parametrize("script", [CREATED, Reply(400, b'{"code":21211}'), RESET])
async def test_number_text_and_token_are_never_logged(script, caplog):
    caplog.set_level(logging.DEBUG)
    outcome, _ = await send(script)
    shown = caplog.text + repr(outcome) + repr(config("http://127.0.0.1:1"))
    for private in (NUMBER, NUMBER[1:], TEXT, "secret"):
        assert private not in shown


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"auth_token": ""}, "ALERTING_TWILIO_AUTH_TOKEN"),
        ({"account_sid": ""}, "ALERTING_TWILIO_ACCOUNT_SID"),
        ({"base_url": "api.twilio.com"}, "ALERTING_TWILIO_BASE_URL"),
    ],
)
def test_bad_settings_are_refused_by_name(changes, says):
    base = {"account_sid": SID, "auth_token": "secret"}
    with pytest.raises(BadInput, match=says):
        TwilioSms(TwilioConfig(**{**base, **changes}))

"""Status callbacks: signed so that Twilio's own validator takes them, and never in the way."""

from __future__ import annotations

import pytest
from carrier_client import AUTH, FORM, MESSAGES, until
from twilio.request_validator import RequestValidator

from alerting.embedded.carriers import SANDBOX_ACCOUNT, SANDBOX_TOKEN, callbacks, read_log


async def _send(http, receiver, **change):
    form = FORM | {"StatusCallback": f"{receiver.url}?delivery=12&x=%C3%A9"} | change
    async with http.post(f"{MESSAGES}.json", data=form, headers=AUTH) as answer:
        assert answer.status == 201
        return (await answer.json())["sid"]


async def _faults(http, **sms):
    async with http.post("/sandbox/faults", json={"sms": {"callback_delay_ms": 0} | sms}) as answer:
        assert answer.status == 200, await answer.text()


async def test_callbacks_are_signed_like_twilio(http, receiver):
    await _faults(http)
    sid = await _send(http, receiver, Body="Hochwasser – jetzt räumen")
    await until(lambda: len(receiver.seen) == 2)
    assert receiver.statuses == ["sent", "delivered"]
    validator = RequestValidator(SANDBOX_TOKEN)
    for url, form, signature, _ in receiver.seen:
        assert url.endswith("?delivery=12&x=%C3%A9")
        assert validator.validate(url, form, signature)
        assert not validator.validate(url, form | {"MessageStatus": "failed"}, signature)
        assert not RequestValidator("another").validate(url, form, signature)
        assert (form["MessageSid"], form["AccountSid"]) == (sid, SANDBOX_ACCOUNT)
        assert (form["To"], form["From"]) == (FORM["To"], FORM["From"])
        assert "ErrorCode" not in form


async def test_callbacks_wait_for_their_delay(http, receiver):
    await _faults(http, callback_delay_ms=600_000)
    sid = await _send(http, receiver)
    async with http.get(f"{MESSAGES}/{sid}.json", headers=AUTH) as answer:
        assert (await answer.json())["status"] == "queued"
    async with http.get("/sandbox/healthz") as answer:
        assert (await answer.json())["callbacks"]["waiting"] == 1
    assert receiver.seen == []


async def test_undelivered_callback_has_an_error_code(http, receiver, var):
    await _faults(http, undelivered_rate=1, undelivered_code=30005)
    await _send(http, receiver)
    await until(lambda: len(receiver.seen) == 2)
    form = receiver.seen[1][1]
    assert (form["MessageStatus"], form["ErrorCode"]) == ("undelivered", "30005")
    assert next(read_log(var, "sms"))["outcome"] == "undelivered"


async def test_message_past_validity_fails(http, receiver):
    await _faults(http, callback_delay_ms=1200)
    await _send(http, receiver, ValidityPeriod="1")
    await until(lambda: len(receiver.seen) == 2)
    form = receiver.seen[1][1]
    assert (form["MessageStatus"], form["ErrorCode"]) == ("failed", "30036")


async def test_callbacks_repeat_and_reorder_with_same_key(http, receiver):
    await _faults(http, callback_duplicate_rate=1, callback_reorder_rate=1)
    await _send(http, receiver)
    await until(lambda: len(receiver.seen) == 4)
    assert receiver.statuses == ["delivered", "delivered", "sent", "sent"]
    keys = [key for *_, key in receiver.seen]
    assert keys[0] == keys[1] != keys[2] == keys[3]


async def test_callbacks_are_retried_while_receiver_is_down(http, receiver, monkeypatch):
    monkeypatch.setattr(callbacks, "RETRY_S", (0.01, 0.02))
    receiver.answers = [503, 429, 204]
    await _faults(http)
    await _send(http, receiver)
    await until(lambda: len(receiver.seen) == 4)
    assert receiver.statuses == ["sent", "sent", "sent", "delivered"]
    assert len({key for *_, key in receiver.seen}) == 2


@pytest.mark.parametrize(("answer", "tries"), [(500, 3), (403, 1)])
async def test_callbacks_are_given_up_after_retries(http, receiver, monkeypatch, answer, tries):
    monkeypatch.setattr(callbacks, "RETRY_S", (0.01, 0.02))
    receiver.answers = [answer] * tries
    await _faults(http)
    await _send(http, receiver)
    await until(lambda: "delivered" in receiver.statuses)
    assert receiver.statuses == ["sent"] * tries + ["delivered"]


async def test_callbacks_without_receiver_do_not_block_the_api(http, receiver, unused_tcp_port):
    await _faults(http)
    dead = f"http://127.0.0.1:{unused_tcp_port}/?delivery=1"
    for _ in range(100):
        await _send(http, receiver, StatusCallback=dead)
    await _send(http, receiver)
    await until(lambda: len(receiver.seen) == 2)

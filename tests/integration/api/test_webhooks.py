from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import urlencode

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from served import PUBLIC, Served
from twilio.request_validator import RequestValidator

from alerting.api.bounds import USUAL_BYTES
from alerting.store.ledger.receipt_intake import NewReceipt

FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+447700900001", "New": "field"}
PATH = "/webhooks/twilio/status?delivery=1024"


def signed(served: Served, form: dict[str, str], path: str = PATH) -> dict[str, str]:
    validator = RequestValidator(served.runtime.twilio_tokens[0])
    return {
        "X-Twilio-Signature": validator.compute_signature(PUBLIC + path, form),
        "Content-Type": "application/x-www-form-urlencoded",
    }


async def receipts(served: Served) -> list[tuple[int, str]]:
    async with served.runtime.db.begin() as c:
        rows = await c.exec_driver_sql("select delivery_id, status from receipt order by id")
        return [(row[0], row[1]) for row in rows]


async def test_signed_report_is_stored_once(served: Served) -> None:
    for _ in range(2):
        answer = await served.http.post(PATH, content=urlencode(FORM), headers=signed(served, FORM))
        assert answer.status_code == 204
    assert await receipts(served) == [(1024, "delivered")]


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({"X-Twilio-Signature": "AAAA"}, urlencode(FORM)),
        ({"X-Twilio-Signature": ""}, urlencode(FORM)),
        ({}, urlencode(FORM | {"MessageStatus": "failed"})),
        ({"Content-Type": "application/json"}, '{"MessageSid": "SM1"}'),
        ({}, ""),
    ],
)
async def test_unsigned_report_is_refused(
    served: Served, change: dict[str, str], body: str
) -> None:
    headers = signed(served, FORM) | change
    answer = await served.http.post(PATH, content=body, headers=headers)
    assert answer.status_code == 403
    assert await receipts(served) == []


async def test_report_for_another_delivery_needs_its_signature(served: Served) -> None:
    answer = await served.http.post(
        PATH.replace("1024", "1025"), content=urlencode(FORM), headers=signed(served, FORM)
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "form",
    [
        FORM | {"From": "+44 7700&900=000", "Name": "Zoë ⛰"},
        FORM | {"Empty": "", "Plus": "a+b c%20d"},
    ],
)
async def test_signature_covers_any_encoding(served: Served, form: dict[str, str]) -> None:
    answer = await served.http.post(PATH, content=urlencode(form), headers=signed(served, form))
    assert answer.status_code == 204


async def test_signature_covers_the_query_as_written(served: Served) -> None:
    path = f"{PATH}&alert=a%2Fb%20c"
    for sent, status in ((path, 204), (path.replace("%2F", "/"), 403)):
        answer = await served.http.post(
            sent, content=urlencode(FORM), headers=signed(served, FORM, path)
        )
        assert answer.status_code == status


@pytest.mark.parametrize("public", ["https://alerts.example.org:443", "https://alerts.example.org"])
async def test_signature_ignores_default_port(served: Served, public: str) -> None:
    validator = RequestValidator(served.runtime.twilio_tokens[0])
    headers = signed(served, FORM) | {
        "X-Twilio-Signature": validator.compute_signature(public + PATH, FORM)
    }
    answer = await served.http.post(PATH, content=urlencode(FORM), headers=headers)
    assert answer.status_code == 204


async def test_signature_of_proxy_address_is_refused(served: Served) -> None:
    inside = RequestValidator(served.runtime.twilio_tokens[0]).compute_signature(
        f"http://10.0.0.5:8080{PATH}", FORM
    )
    headers = signed(served, FORM) | {
        "X-Twilio-Signature": inside,
        "Host": "10.0.0.5:8080",
        "X-Forwarded-Host": "10.0.0.5:8080",
        "X-Forwarded-Proto": "http",
    }
    answer = await served.http.post(PATH, content=urlencode(FORM), headers=headers)
    assert answer.status_code == 403


async def test_refused_signatures_are_counted(served: Served) -> None:
    before = REGISTRY.get_sample_value("alerting_webhook_bad_signatures_total") or 0
    headers = signed(served, FORM) | {"X-Twilio-Signature": "nö".encode("latin-1")}
    answer = await served.http.post(PATH, content=urlencode(FORM), headers=headers)
    assert answer.status_code == 403
    after = REGISTRY.get_sample_value("alerting_webhook_bad_signatures_total")
    assert after == before + 1


async def test_oversized_body_is_not_read(served: Served) -> None:
    form = FORM | {"Body": "x" * USUAL_BYTES}
    answer = await served.http.post(PATH, content=urlencode(form), headers=signed(served, form))
    assert answer.status_code == 413
    many = urlencode([(f"f{n}", "x") for n in range(1000)])
    answer = await served.http.post(PATH, content=many, headers=signed(served, FORM))
    assert answer.status_code == 403
    assert await receipts(served) == []


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (PATH.replace("?delivery=1024", ""), {}),
        (PATH.replace("1024", "-1"), {}),
        (PATH.replace("1024", "9" * 19), {}),
        (PATH.replace("1024", "١٠"), {}),
        (PATH, {"MessageSid": "SM\x00"}),
        (PATH, {"MessageStatus": "x" * 65}),
    ],
)
async def test_signed_report_without_our_id_is_refused(
    served: Served, path: str, change: dict[str, str]
) -> None:
    form = FORM | change
    address = str(httpx.URL(PUBLIC + path)).removeprefix(PUBLIC)
    answer = await served.http.post(
        address, content=urlencode(form), headers=signed(served, form, address)
    )
    assert answer.status_code == 422
    assert await receipts(served) == []


async def test_account_without_token_signs_nothing(served: Served) -> None:
    real = replace(
        served.runtime,
        settings=served.runtime.settings.model_copy(update={"carriers": "real"}),
    )
    served.app.state.runtime = real
    try:
        assert real.twilio_tokens == ()
        headers = {
            "X-Twilio-Signature": RequestValidator("").compute_signature(PUBLIC + PATH, FORM),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        answer = await served.http.post(PATH, content=urlencode(FORM), headers=headers)
    finally:
        served.app.state.runtime = served.runtime
    assert answer.status_code == 403


async def test_each_account_signs_with_its_own_token(served: Served) -> None:
    accounts = {
        "carriers": "real",
        "twilio_account_sid": "AC1",
        "twilio_auth_token": SecretStr("first"),
        "twilio2_account_sid": "AC2",
        "twilio2_auth_token": SecretStr("second"),
    }
    served.app.state.runtime = replace(
        served.runtime, settings=served.runtime.settings.model_copy(update=accounts)
    )
    try:
        for token, status in (("first", 204), ("second", 204), ("third", 403)):
            said = RequestValidator(token).compute_signature(PUBLIC + PATH, FORM)
            headers = {
                "X-Twilio-Signature": said,
                "Content-Type": "application/x-www-form-urlencoded",
            }
            answer = await served.http.post(PATH, content=urlencode(FORM), headers=headers)
            assert answer.status_code == status
    finally:
        served.app.state.runtime = served.runtime


async def test_burst_is_stored_in_few_transactions(served: Served) -> None:
    async def post(n: int) -> int:
        path = PATH.replace("1024", str(n))
        answer = await served.http.post(
            path, content=urlencode(FORM), headers=signed(served, FORM, path)
        )
        return answer.status_code

    assert set(await asyncio.gather(*(post(n) for n in range(200)))) == {204}
    async with served.runtime.db.begin() as c:
        kept = await c.exec_driver_sql("select count(*), count(distinct xmin::text) from receipt")
        count, transactions = kept.one()
    assert count == 200
    assert transactions < 50


async def test_one_refused_receipt_does_not_lose_the_others(served: Served) -> None:
    intake = served.app.state.intake
    good = [NewReceipt("sms", n, "SM1", "sent", "") for n in range(20)]
    bad = NewReceipt("sms", 2**70, "SM1", "sent", "")
    kept = await asyncio.gather(
        *(intake.keep(r) for r in (*good[:10], bad, *good[10:])), return_exceptions=True
    )
    assert [n for n, end in enumerate(kept) if end is not None] == [10]
    assert len(await receipts(served)) == 20

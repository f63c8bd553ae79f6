from __future__ import annotations

from urllib.parse import urlencode

import pytest
from served import PUBLIC, Served
from twilio.request_validator import RequestValidator

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


async def test_a_signed_report_is_kept_once(served: Served) -> None:
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
async def test_anything_twilio_did_not_sign_is_refused(
    served: Served, change: dict[str, str], body: str
) -> None:
    headers = signed(served, FORM) | change
    answer = await served.http.post(PATH, content=body, headers=headers)
    assert answer.status_code == 403
    assert await receipts(served) == []


async def test_a_report_for_another_delivery_needs_its_own_signature(served: Served) -> None:
    answer = await served.http.post(
        PATH.replace("1024", "1025"), content=urlencode(FORM), headers=signed(served, FORM)
    )
    assert answer.status_code == 403

"""Faults are set live, checked whole, and strike as often as told."""

from __future__ import annotations

import json

import aiohttp
import pytest
from carrier_client import AUTH, FORM, MESSAGES

from alerting.embedded.carriers import read_log
from alerting.embedded.carriers.faults import Desk


async def _sms(http: aiohttp.ClientSession) -> tuple[int, dict[str, object]]:
    async with http.post(f"{MESSAGES}.json", data=FORM, headers=AUTH) as answer:
        return answer.status, await answer.json()


async def _set(http: aiohttp.ClientSession, faults: object) -> dict[str, dict[str, object]]:
    async with http.post("/sandbox/faults", json=faults) as answer:
        assert answer.status == 200, await answer.text()
        shown: dict[str, dict[str, object]] = await answer.json()
        return shown


async def test_no_fault_by_default(http):
    for _ in range(20):
        assert (await _sms(http))[0] == 201


async def test_set_faults_are_shown_and_others_kept(http):
    await _set(http, {"sms": {"failure_rate": 0.5, "failure_code": 20429}})
    shown = await _set(http, {"sms": {"latency_ms": 5}, "push": {"gone": ["c1"]}})
    async with http.get("/sandbox/faults") as answer:
        assert await answer.json() == shown
    assert (shown["sms"]["failure_rate"], shown["sms"]["latency_ms"]) == (0.5, 5)
    assert shown["push"]["gone"] == ["c1"]
    async with http.delete("/sandbox/faults") as answer:
        assert (await answer.json())["sms"]["failure_rate"] == 0


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"sms": {"failure_rate": 1.5}}, "sms.failure_rate"),
        ({"sms": {"failure_rate": -0.1}}, "sms.failure_rate"),
        ({"sms": {"latency_ms": "slow"}}, "sms.latency_ms"),
        ({"sms": {"failure_status": 200}}, "sms.failure_status"),
        ({"sms": {"unheard_of": 1}}, "sms.unheard_of"),
        ({"fax": {}}, "fax"),
        ({"sms": 3}, "sms"),
        ({"push": {"gone_status": 500}}, "push.gone_status"),
        ({"email": {"failure_reply": "250 Ok"}}, "email.failure_reply"),
        ({"email": {"failure_reply": "451 a\r\nb"}}, "email.failure_reply"),
        ([1], "JSON object"),
        (None, "JSON object"),
    ],
)
async def test_wrong_faults_are_refused_unchanged(http, wanted, named):
    before = await _set(http, {"push": {"failure_rate": 0.25}})
    headers = {"Content-Type": "application/json"}
    async with http.post("/sandbox/faults", data=json.dumps(wanted), headers=headers) as answer:
        assert answer.status == 400
        assert answer.content_type == "application/problem+json"
        assert named in (await answer.json())["detail"]
    async with http.get("/sandbox/faults") as answer:
        assert await answer.json() == before


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"sms": {"failure_rate": NaN}}', "application/json", 400),
        (b"{}", "text/plain", 415),
    ],
)
async def test_bad_json_is_refused(http, body, kind, status):
    headers = {"Content-Type": kind}
    async with http.post("/sandbox/faults", data=body, headers=headers) as answer:
        assert answer.status == status


async def test_failure_is_answered_and_not_logged(http, var):
    await _set(http, {"sms": {"failure_rate": 1, "failure_status": 500, "failure_code": 20500}})
    status, error = await _sms(http)
    assert (status, error["code"]) == (500, 20500)
    assert list(read_log(var, "sms")) == []


async def test_opted_out_numbers_are_refused(http):
    await _set(http, {"sms": {"opted_out": [FORM["To"]]}})
    status, error = await _sms(http)
    assert (status, error["code"]) == (400, 21610)


async def test_lost_answer_keeps_the_message_logged(http, var):
    await _set(http, {"sms": {"ambiguous_rate": 1}, "push": {"ambiguous_rate": 1}})
    with pytest.raises(aiohttp.ClientConnectionError):
        await _sms(http)
    assert len(list(read_log(var, "sms"))) == 1


async def test_lost_push_answer_keeps_the_message_logged(http, pusher, var):
    await _set(http, {"push": {"ambiguous_rate": 1}})
    with pytest.raises(aiohttp.ClientConnectionError):
        await pusher.push()
    assert len(list(read_log(var, "push"))) == 1


async def test_rate_limit_answers_with_retry_after(http, pusher, var):
    await _set(http, {"sms": {"rate_limit_per_s": 0.001}, "push": {"rate_limit_per_s": 0.001}})
    assert (await _sms(http))[0] == 201
    async with http.post(f"{MESSAGES}.json", data=FORM, headers=AUTH) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"
        assert (await answer.json())["code"] == 20429
    assert (await pusher.push()).status == 201
    refused = await pusher.push()
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert len(list(read_log(var, "sms"))) == 1


def test_same_seed_gives_the_same_faults():
    def rolls(seed: int) -> list[bool]:
        desk = Desk()
        desk.change({"seed": seed})
        return [desk.strikes(0.3) for _ in range(1000)]

    assert rolls(7) == rolls(7) != rolls(8)
    assert 230 < sum(rolls(7)) < 370


def test_rate_of_zero_draws_no_number():
    one, two = Desk(), Desk()
    for _ in range(5):
        assert not one.strikes(0)
    assert [one.strikes(0.5) for _ in range(50)] == [two.strikes(0.5) for _ in range(50)]
    assert all(one.strikes(1) for _ in range(50))

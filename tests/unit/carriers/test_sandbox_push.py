"""The push service reads what the RFCs say and refuses the rest."""

from __future__ import annotations

import json
import time

import pytest
from carrier_client import Pusher, b64url, unb64url

from alerting.embedded.carriers import PUSH_SEED, read_log, subscription


async def test_push_is_decrypted_and_logged(pusher, var, carriers):
    answer = await pusher.push(
        "c7",
        {
            "title": "Überschwemmung",
            "body": "Höher gehen",
            "delivery": 99,
            "lang": "de",
            "url": "u",
        },
        Topic="flood-1",
        Urgency="high",
    )
    assert answer.status == 201
    assert answer.headers["Location"].startswith(f"{carriers.http_url}/push/messages/")
    (line,) = read_log(var, "push")
    assert (line["to"], line["ref"]) == ("c7", 99)
    assert (line["title"], line["body"], line["lang"]) == ("Überschwemmung", "Höher gehen", "de")
    assert (line["topic"], line["urgency"], line["ttl_s"]) == ("flood-1", "high", 60)
    assert line["sender"] == "mailto:a@example.org"
    assert answer.headers["Location"].endswith(line["id"])


async def test_push_without_json_is_shown_as_it_is(pusher, var):
    for clear in (b"plain words", b"[1]", b'{"title": 3, "delivery": true}', b"\xff", b"[" * 3900):
        answer = await pusher.push(body=pusher.encrypted("c7", clear))
        assert answer.status == 201
    lines = list(read_log(var, "push"))
    assert [line["body"] for line in lines] == ["plain words", "[1]", "", "\ufffd", "[" * 3900]
    assert {line["ref"] for line in lines} == {None}


@pytest.mark.parametrize(
    ("headers", "without", "status"),
    [
        ({}, ("TTL",), 400),
        ({"TTL": "-1"}, (), 400),
        ({"TTL": "soon"}, (), 400),
        ({"Content_Encoding": "aesgcm"}, (), 400),
        ({}, ("Content-Encoding",), 400),
        ({"Topic": "x" * 33}, (), 400),
        ({"Topic": "no spaces"}, (), 400),
        ({"Urgency": "very-high"}, (), 400),
        ({}, ("Authorization",), 401),
        ({"Authorization": "vapid t=a.b.c"}, (), 401),
        ({"Authorization": "vapid t=a.b.c, k=AAAA"}, (), 403),
        ({"Authorization": "Bearer abc"}, (), 401),
    ],
)
async def test_push_outside_the_protocol_is_refused(pusher, var, headers, without, status):
    answer = await pusher.push(without=without, **headers)
    assert answer.status == status
    assert list(read_log(var, "push")) == []


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://push.example.org"},
        {"exp": 1},
        {"exp": time.time() + 25 * 3600},
        {"exp": "never"},
        {"exp": None},
    ],
)
async def test_push_token_must_name_audience_and_expiry(pusher, var, claims):
    assert (await pusher.push(Authorization=pusher.vapid(**claims))).status == 403
    assert list(read_log(var, "push")) == []


async def test_push_token_signed_by_another_key_is_refused(pusher):
    foreign = Pusher(pusher.http, pusher.base)
    token = foreign.vapid().partition(", k=")[0]
    key = pusher.vapid().partition(", k=")[2]
    assert (await pusher.push(Authorization=f"{token}, k={key}")).status == 403
    # A refusal must not be remembered as a success.
    assert (await pusher.push(Authorization=f"{token}, k={key}")).status == 403


async def test_push_body_for_another_phone_is_refused(pusher, var):
    sealed = pusher.encrypted("c8", b"{}")
    bad = [sealed, b"", b"\0" * 20, sealed[:-1], sealed[:40], sealed[:86], b"\0" * 86 + sealed]
    for body in bad:
        answer = await pusher.push("c7", body=body)
        assert answer.status == 400, body
    assert list(read_log(var, "push")) == []


async def test_push_of_4096_bytes_is_the_largest(pusher):
    room = 3993  # RFC 8291 §4: 4096 less the header, the delimiter and the tag
    assert (await pusher.push(body=pusher.encrypted("c7", b"x" * room))).status == 201
    assert (await pusher.push(body=pusher.encrypted("c7", b"x" * (room + 1)))).status == 413
    assert (await pusher.push(body=b"x" * 100_000)).status == 413


async def test_push_to_gone_subscription_answers_as_set(pusher, http):
    for status in (404, 410):
        faults = {"push": {"gone": ["c7"], "gone_status": status}}
        async with http.post("/sandbox/faults", json=faults) as answer:
            assert answer.status == 200
        assert (await pusher.push("c7")).status == status
        assert (await pusher.push("c8")).status == 201


def test_subscription_is_deterministic():
    first = subscription("http://127.0.0.1:8090/", PUSH_SEED, "c1")
    assert first == subscription("http://127.0.0.1:8090", PUSH_SEED.encode(), "c1")
    endpoint, keys = first
    assert endpoint == "http://127.0.0.1:8090/push/c1"
    assert unb64url(keys["p256dh"])[0] == 4
    assert (len(unb64url(keys["p256dh"])), len(unb64url(keys["auth"]))) == (65, 16)
    assert b64url(unb64url(keys["auth"])) == keys["auth"]
    others = [subscription("http://x", PUSH_SEED, "c2"), subscription("http://x", "other", "c1")]
    assert len({json.dumps(k) for _, k in [first, *others]}) == 3

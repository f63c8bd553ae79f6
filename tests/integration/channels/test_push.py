import json
import logging
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import http_ece
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from provider_script import HALF, RESET, SILENCE, Reply, provider

from alerting.channels.base import (
    AMBIGUOUS,
    DEAD_ADDRESS,
    OUR_FAULT,
    PROVIDER_DOWN,
    REFUSED_CONTENT,
    THROTTLED,
    TOO_LATE,
    Outgoing,
    Rendering,
)
from alerting.channels.push import vapid
from alerting.channels.push.push_origins import Origins
from alerting.channels.push.web_push import PushConfig, WebPush, payload, tag_of
from alerting.channels.push.webpush_crypto import MAX_PLAINTEXT_BYTES, BadKeys, encrypt
from alerting.channels.spec import Provider
from alerting.clock import ManualClock
from alerting.dispatch.alarms import Alarms
from alerting.domain.lane import Lane
from alerting.errors import BadInput
from alerting.providers.route import Route
from alerting.store.admin import stored_alarms

PATIENCE_S = 60
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PEM = vapid.generate()
CREATED = Reply(201, b"", {"Location": "/message/9"})
RENDERING = Rendering(
    "push", "de", "Hochwasser", "Sofort höher gehen.", link="https://alerts.example.org/a/1"
)

BROWSER = ec.generate_private_key(ec.SECP256R1())
AUTH = bytes(range(16))


def b64(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


KEYS = {
    "p256dh": b64(BROWSER.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
    "auth": b64(AUTH),
}


def decrypted(body):
    return http_ece.decrypt(body, private_key=BROWSER, auth_secret=AUTH, version="aes128gcm")


def message(**changes):
    base = {
        "delivery_id": 41,
        "endpoint": "https://push.example.org/s/1",
        "rendering": RENDERING,
        "lane": Lane.SEVERE,
        "thread": "t1",
        "keys": KEYS,
    }
    return Outgoing(**{**base, **changes})


@asynccontextmanager
async def push(clock=None, **changes):
    base = {"contact": "mailto:duty@example.org", "timeout_s": 5.0, "allow_loopback_http": True}
    channel = WebPush(PushConfig(PEM, **{**base, **changes}), clock=clock or ManualClock(NOW))
    await channel.open()
    try:
        yield channel
    finally:
        await channel.close()


async def send(script, **changes):
    """The outcome of one message to a push service scripted so, and what the service saw."""
    async with (
        provider(script, silence_s=PATIENCE_S) as far,
        push(timeout_s=PATIENCE_S) as channel,
    ):
        sent = message(**{"endpoint": f"{far.url}/s/1", **changes})
        return await channel.send(sent), far.seen


async def test_push_is_readable_by_a_browser():
    outcome, [request] = await send(CREATED)
    assert outcome.accepted
    assert (outcome.delivery_id, outcome.provider_ref) == (41, "/message/9")
    assert json.loads(decrypted(request.body)) == {
        "title": "Hochwasser",
        "body": "Sofort höher gehen.",
        "url": "https://alerts.example.org/a/1",
        "lang": "de",
        "tag": tag_of("t1"),
        "delivery": 41,
    }
    assert request.headers["Content-Encoding"] == "aes128gcm"
    assert "höher".encode() not in request.body


async def classes(far, channel, *statuses):
    """How messages end that are answered so, one after the other."""
    ends = []
    for status in statuses:
        far.script = Reply(status)
        ends.append((await channel.send(message(endpoint=f"{far.url}/s/1"))).error)
    return ends


@pytest.mark.parametrize("status", [400, 403])
async def test_refused_key_of_one_subscription_is_its_own_fault(status):
    async with provider(CREATED) as far, push() as channel:
        assert await classes(far, channel, status) == [OUR_FAULT]
        assert await classes(far, channel, 201, status) == [None, DEAD_ADDRESS]
        assert await classes(far, channel, 401) == [OUR_FAULT]


async def test_refused_key_of_one_raises_no_alarm(db):
    alarm_sink = Alarms(db)
    async with provider(CREATED) as far, push() as channel:
        route = Route(
            Provider("push.1", channel, by_origin=True),
            0,
            alarm_sink,
            now=time.monotonic,
            limits=None,
            can_fail_over=lambda: False,
            cooldown_changed=lambda _: None,
        )
        ends = []
        for n in range(20):
            far.script = Reply(403) if n % 2 else CREATED
            ends.append(await route.call(message(endpoint=f"{far.url}/s/{n % 2}")))
    assert [o and o.error for o in ends] == [None, DEAD_ADDRESS] * 10
    await alarm_sink.drain()
    async with db.begin() as c:
        assert await stored_alarms.open_alarms(c) == []


async def test_service_refusing_our_key_suspends_few():
    async with provider(CREATED) as far, push() as channel:
        ends = await classes(far, channel, 201, *[403] * 20)
        assert ends.count(DEAD_ADDRESS) == 5
        assert ends[-15:] == [OUR_FAULT] * 15


def test_old_or_foreign_acceptance_proves_nothing():
    now = 0.0
    origins = Origins(lambda: now)
    origins.accepted("https://push.example.org")
    assert origins.refuses_only_this("https://push.example.org")
    assert not origins.refuses_only_this("https://other.example.org")
    now = 61.0
    assert not origins.refuses_only_this("https://push.example.org")


def test_origins_are_forgotten_beyond_a_limit():
    origins = Origins()
    for n in range(1000):
        origins.accepted(f"https://h{n}.example.org")
    assert not origins.refuses_only_this("https://h0.example.org")
    assert origins.refuses_only_this("https://h999.example.org")


async def test_endpoint_is_called_exactly_as_registered():
    path = "/s/a%2Fb%2fc%7E/../d==?x=%7e+%2b"
    async with provider(CREATED) as far, push() as channel:
        await channel.send(message(endpoint=far.url + path))
        [request] = far.seen
    assert request.path == path
    assert request.headers["Accept-Encoding"] == "identity"


async def test_vapid_claims_identify_the_sender():
    async with provider(CREATED) as far, push() as channel:
        await channel.send(message(endpoint=f"{far.url}/s/1"))
        origin, [request] = far.url, far.seen
    scheme, _, rest = request.headers["Authorization"].partition(" ")
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert scheme == "vapid"
    point = urlsafe_b64decode(fields["k"] + "=")
    ours = load_pem_private_key(PEM, None).public_key()
    assert point == ours.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    claims = jwt.decode(
        fields["t"],
        key,
        algorithms=["ES256"],
        audience=origin,
        options={"verify_exp": False, "require": ["aud", "exp", "sub"]},
    )
    assert claims["sub"] == "mailto:duty@example.org"
    assert 0 < claims["exp"] - NOW.timestamp() <= 24 * 3600


@pytest.mark.parametrize(
    ("lane", "urgency"),
    [
        (Lane.EXTREME, "high"),
        (Lane.SEVERE, "high"),
        (Lane.ROUTINE, "normal"),
        (Lane.DRILL, "normal"),
    ],
)
async def test_urgency_wakes_only_for_danger_to_life(lane, urgency):
    _, [request] = await send(CREATED, lane=lane)
    assert request.headers["Urgency"] == urgency


@pytest.mark.parametrize(
    ("valid_until", "ttl"),
    [
        (None, "86400"),
        (NOW + timedelta(seconds=90.9), "90"),
        (NOW + timedelta(days=90), "2419200"),
    ],
)
async def test_ttl_follows_the_expiry(valid_until, ttl):
    _, [request] = await send(CREATED, valid_until=valid_until)
    assert request.headers["TTL"] == ttl


async def test_send_after_expiry_calls_nobody():
    outcome, seen = await send(CREATED, valid_until=NOW + timedelta(seconds=0.5))
    assert outcome.error is TOO_LATE
    assert not seen


async def topics(*messages):
    """The Topic header of each message, None where it had none."""
    async with provider(CREATED) as far, push() as channel:
        for number, changes in enumerate(messages):
            await channel.send(message(delivery_id=number, endpoint=f"{far.url}/s/1", **changes))
        return [request.headers.get("Topic") for request in far.seen]


async def test_topic_is_shared_by_versions_of_a_thread():
    first, second, other = await topics({"thread": "a"}, {"thread": "a"}, {"thread": "b"})
    assert first == second != other
    assert len(first) == 32
    assert set(first) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


async def test_topic_of_lower_severity_replaces_nothing():
    extreme, *lesser = await topics(
        {"lane": Lane.EXTREME}, {"lane": Lane.SEVERE}, {"lane": Lane.ROUTINE}
    )
    assert extreme not in lesser


async def test_silent_push_has_no_topic_but_the_thread_tag():
    first, update = await topics({}, {"silent": True})
    assert first
    assert update is None
    tags = [json.loads(payload(message(silent=silent)))["tag"] for silent in (False, True)]
    assert tags == [tag_of("t1")] * 2


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, REFUSED_CONTENT),
        (400, OUR_FAULT),
        (401, OUR_FAULT),
        (403, OUR_FAULT),
        (404, DEAD_ADDRESS),
        (410, DEAD_ADDRESS),
        (413, REFUSED_CONTENT),
        (418, REFUSED_CONTENT),
        (429, THROTTLED),
        (500, AMBIGUOUS),
        (502, AMBIGUOUS),
        (503, PROVIDER_DOWN),
    ],
)
async def test_answer_is_classified_by_status(status, error):
    outcome, seen = await send(Reply(status, b"why", {"Retry-After": "9", "Location": "/other"}))
    assert (outcome.error, outcome.provider_code) == (error, str(status))
    assert outcome.retry_after_s == 9.0
    assert len(seen) == 1
    assert error.suspend == (status in (404, 410))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_2xx_is_accepted(status):
    outcome, _ = await send(Reply(status))
    assert outcome.accepted
    assert outcome.provider_ref == ""


async def test_success_with_truncated_body_is_accepted():
    outcome, _ = await send(HALF)
    assert outcome.accepted


@pytest.mark.parametrize(("script", "code"), [(RESET, "disconnect"), (SILENCE, "timeout")])
async def test_lost_answer_is_ambiguous_and_not_retried(script, code):
    outcome, seen = await send(script)
    assert (outcome.error, outcome.provider_code) == (AMBIGUOUS, code)
    assert len(seen) == 1


async def test_connection_failure_is_provider_down(unused_tcp_port):
    async with push() as channel:
        outcome = await channel.send(message(endpoint=f"http://127.0.0.1:{unused_tcp_port}/s"))
    assert (outcome.error, outcome.provider_code) == (PROVIDER_DOWN, "connect")


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"p256dh": KEYS["p256dh"]},
        {"p256dh": KEYS["p256dh"], "auth": "AAAA"},
        {"p256dh": "AAAA", "auth": KEYS["auth"]},
        {"p256dh": b64(b"\x04" + b"\x01" * 64), "auth": KEYS["auth"]},
        {"p256dh": "é", "auth": KEYS["auth"]},
        {"p256dh": "A", "auth": KEYS["auth"]},
    ],
)
async def test_bad_subscription_keys_are_dead_and_not_called(keys):
    outcome, seen = await send(CREATED, keys=keys)
    assert (outcome.error, outcome.provider_code) == (DEAD_ADDRESS, "bad-keys")
    assert not seen


async def test_private_endpoint_is_dead_and_not_called():
    async with provider(CREATED) as far, push(allow_loopback_http=False) as channel:
        outcome = await channel.send(message(endpoint=f"{far.url}/s/1"))
        assert (outcome.error, outcome.provider_code) == (DEAD_ADDRESS, "bad-endpoint")
        assert not far.seen


async def test_origin_off_the_allow_list_is_not_called():
    async with (
        provider(CREATED) as far,
        push(allowed_origins=("https://p.example.org",)) as channel,
    ):
        outcome = await channel.send(message(endpoint=f"{far.url}/s/1"))
        assert (outcome.error, outcome.provider_code) == (REFUSED_CONTENT, "bad-origin")
        assert not far.seen


@pytest.mark.parametrize("origin", ["https://p.example.org/", "p.example.org", "http://10.0.0.1"])
def test_unmatchable_allow_list_is_refused(origin):
    with pytest.raises(BadInput, match="ALERTING_PUSH_ORIGINS"):
        WebPush(PushConfig(PEM, "mailto:duty@example.org", allowed_origins=(origin,)))


async def test_oversized_message_is_refused_without_call():
    huge = Rendering("push", "en", "T" * 5000, "text")
    outcome, seen = await send(CREATED, rendering=huge)
    assert (outcome.error, outcome.provider_code) == (REFUSED_CONTENT, "too-long")
    assert not seen


async def test_private_data_is_never_logged(caplog):
    caplog.set_level(logging.DEBUG)
    outcome, _ = await send(RESET)
    shown = caplog.text + repr(outcome) + repr(PushConfig(PEM, "mailto:duty@example.org"))
    for private in ("/s/1", RENDERING.text, KEYS["auth"], "PRIVATE KEY"):
        assert private not in shown


@given(
    title=st.text(max_size=200),
    text=st.text(max_size=9000),
    delivery_id=st.integers(1, 2**63 - 1),
)
def test_payload_of_any_text_fits_as_json(title, text, delivery_id):
    rendering = Rendering("push", "en", title, text, link="https://alerts.example.org/a/1")
    made = payload(message(rendering=rendering, delivery_id=delivery_id))
    assert len(made) <= MAX_PLAINTEXT_BYTES
    read = json.loads(made)
    assert (read["title"], read["delivery"]) == (title, delivery_id)
    if read["body"] != text:
        assert text.startswith(read["body"].removesuffix("…"))
        assert len(made) > MAX_PLAINTEXT_BYTES // 2 - 500


def test_long_body_is_cut_at_a_word():
    rendering = Rendering("push", "en", "Flood", "Move to high ground, now. " * 400)
    read = json.loads(payload(message(rendering=rendering)))
    kept = read["body"].removesuffix("…")
    assert len(kept) > 3700
    assert rendering.text[len(kept)] == " "


@given(st.binary(max_size=MAX_PLAINTEXT_BYTES))
def test_encryption_is_readable_by_another_implementation(plaintext):
    body = encrypt(plaintext, KEYS["p256dh"], KEYS["auth"])
    assert len(body) <= 4096
    assert decrypted(body) == plaintext


def test_encryption_never_reuses_key_or_salt():
    bodies = [encrypt(b"x", KEYS["p256dh"], KEYS["auth"]) for _ in range(3)]
    assert len({body[:16] for body in bodies}) == 3
    assert len({body[21:86] for body in bodies}) == 3


def test_encryption_refuses_bad_input():
    with pytest.raises(ValueError, match="do not fit"):
        encrypt(b"x" * (MAX_PLAINTEXT_BYTES + 1), KEYS["p256dh"], KEYS["auth"])
    with pytest.raises(BadKeys, match="cannot be read"):
        encrypt(b"x", "****", KEYS["auth"])


@pytest.mark.parametrize(
    ("pem", "contact", "says"),
    [
        (PEM, "duty@example.org", "ALERTING_PUSH_CONTACT"),
        (b"", "mailto:duty@example.org", "P-256"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n", "mailto:duty@example.org", "P-256"),
    ],
)
def test_unusable_vapid_identity_is_refused(pem, contact, says):
    with pytest.raises(BadInput, match=says):
        WebPush(PushConfig(pem, contact))

"""Web Push: one encrypted message per subscription, posted to the browser's push service.

Source: RFC 8030 (protocol), 8291 (encryption), 8292 (identification).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from alerting.channels.base import (
    DEAD_ADDRESS,
    OUR_FAULT,
    REFUSED_CONTENT,
    THROTTLED,
    TOO_LATE,
    ErrorClass,
    Outcome,
    Outgoing,
    Rendering,
)
from alerting.channels.http import Answer, HttpClient, NoAnswer, server_failure
from alerting.channels.push.public_resolver import PublicResolver
from alerting.channels.push.push_endpoint import check_endpoint
from alerting.channels.push.push_origins import Origins
from alerting.channels.push.vapid import Vapid
from alerting.channels.push.webpush_crypto import MAX_PLAINTEXT_BYTES, BadKeys, encrypt
from alerting.clock import Clock, SystemClock
from alerting.domain.lane import Lane
from alerting.errors import BadInput

#: How long a push service holds a message whose alert has no end.
DEFAULT_TTL_S = 24 * 3600
#: The longest hold that push services honour: four weeks.
MAX_TTL_S = 28 * 24 * 3600

#: `high` wakes a phone that saves power, so only life-safety lanes have it (RFC 8030 §5.3); a
#: drill must not drain batteries as if it were real.
URGENCY: Mapping[Lane, str] = {
    Lane.EXTREME: "high",
    Lane.SEVERE: "high",
    Lane.ROUTINE: "normal",
    Lane.DRILL: "normal",
}

_STATUSES: Mapping[int, ErrorClass] = {
    400: OUR_FAULT,
    401: OUR_FAULT,
    403: OUR_FAULT,
    404: DEAD_ADDRESS,
    410: DEAD_ADDRESS,
    413: REFUSED_CONTENT,
    429: THROTTLED,
}

#: Said of a subscription that was made with another key, and where all of ours are refused.
_KEY_REFUSED = frozenset({400, 403})

# `,"delivery":` and the longest delivery id, which are added to a text made for many.
_DELIVERY_BYTES = len(',"delivery":') + 20


@dataclass(frozen=True, slots=True)
class PushConfig:
    """Our identity towards push services, and which of them we speak to.

    vapid_pem: from `vapid.generate()`. contact: `mailto:` or `https:` address of ours.
    allowed_origins: such as `https://updates.push.services.mozilla.com`; empty for any public one.
    allow_loopback_http: also speak to a push service on this machine, as the sandbox has one.
    """

    vapid_pem: bytes = field(repr=False)
    contact: str
    timeout_s: float = 10.0
    concurrency: int = 64
    allowed_origins: tuple[str, ...] = ()
    allow_loopback_http: bool = False


class WebPush:
    """Sends Web Push. Raises BadInput where the key or the contact cannot work."""

    name = "push"
    can_be_silent = True

    def __init__(self, config: PushConfig, *, clock: Clock | None = None) -> None:
        self.concurrency = config.concurrency
        self._config = config
        self._clock = clock or SystemClock()
        for origin in config.allowed_origins:
            if _origin(origin) != origin:
                raise BadInput(
                    f"{origin} in ALERTING_PUSH_ORIGINS is not the origin of a push service.",
                    remedy="Write it as https://host, without a path or slash.",
                )
        self._origins = Origins()
        self._vapid = Vapid(config.vapid_pem, config.contact, self._clock)
        self._http = HttpClient(
            timeout_s=config.timeout_s,
            concurrency=config.concurrency,
            resolver=lambda: PublicResolver(allow_loopback=config.allow_loopback_http),
        )

    async def open(self) -> None:
        await self._http.open()

    async def close(self) -> None:
        await self._http.close()

    async def send(self, message: Outgoing) -> Outcome:
        """Post one message; a later one of its thread that is as grave replaces it while it waits.

        A silent one replaces nothing there: nobody knows whether the one before it was shown, and
        a phone that was off would get only the one that makes no sound.
        The service holds it no longer than the alert lives. A body too long for one message is
        cut at a word. Keys or endpoints that can never work are DEAD_ADDRESS, without a call. So
        is, after one, a subscription for which the service refuses our key while it takes others.
        """
        ttl_s = DEFAULT_TTL_S
        if message.valid_until is not None:
            ttl_s = int((message.valid_until - self._clock.now()).total_seconds())
            if ttl_s < 1:
                return Outcome(message.delivery_id, TOO_LATE)
        try:
            origin = check_endpoint(
                message.endpoint, allow_loopback_http=self._config.allow_loopback_http
            )
        except BadInput:
            return Outcome(message.delivery_id, DEAD_ADDRESS, provider_code="bad-endpoint")
        if self._config.allowed_origins and origin not in self._config.allowed_origins:
            # Not dead: a setting of ours, which may change back, must not suspend anyone.
            return Outcome(message.delivery_id, REFUSED_CONTENT, provider_code="bad-origin")
        plaintext = payload(message)
        if plaintext is None:
            return Outcome(message.delivery_id, REFUSED_CONTENT, provider_code="too-long")
        try:
            body = encrypt(plaintext, message.keys.get("p256dh", ""), message.keys.get("auth", ""))
        except BadKeys:
            return Outcome(message.delivery_id, DEAD_ADDRESS, provider_code="bad-keys")
        headers = {
            "Authorization": self._vapid.authorization(origin),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(min(ttl_s, MAX_TTL_S)),
            "Urgency": "low" if message.silent else URGENCY[message.lane],
        }
        if not message.silent:
            headers["Topic"] = _token(f"{message.thread} {message.lane}")
        try:
            answer = await self._http.post(message.endpoint, body, headers)
        except NoAnswer as e:
            return Outcome(message.delivery_id, e.error, provider_code=e.code)
        outcome = outcome_of(message.delivery_id, answer)
        if outcome.accepted:
            self._origins.accepted(origin)
        elif answer.status in _KEY_REFUSED and self._origins.refuses_only_this(origin):
            return outcome._replace(error=DEAD_ADDRESS)
        return outcome


def _origin(url: str) -> str:
    try:
        return check_endpoint(url)
    except BadInput:
        return ""


def tag_of(thread: str) -> str:
    """What a device knows a thread by: the newest notification with it takes the others' place."""
    return _token(thread)


@lru_cache(maxsize=256)
def _token(text: str) -> str:
    """Name something as push services take it: 32 base64url characters (RFC 8030 §5.4)."""
    return urlsafe_b64encode(sha256(text.encode()).digest()[:24]).decode()


def payload(message: Outgoing) -> bytes | None:
    """What the service worker receives, as JSON; None where not even an empty body fits."""
    common = _common(message.rendering, tag_of(message.thread), message.silent)
    if common is None:
        return None
    return f'{common},"delivery":{message.delivery_id}}}'.encode()


# The same rendering goes to thousands of citizens; only the delivery id differs.
@lru_cache(maxsize=256)
def _common(rendering: Rendering, tag: str, silent: bool) -> str | None:
    """The payload without its last member and brace, with as much of the body as fits."""

    def made(body: str) -> str:
        value: dict[str, object] = {
            "title": rendering.subject,
            "body": body,
            "url": rendering.link,
            "lang": rendering.language,
            "tag": tag,
        }
        if silent:
            value["silent"] = True
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))[:-1]

    def fits(body: str) -> bool:
        return len(made(body).encode()) + _DELIVERY_BYTES <= MAX_PLAINTEXT_BYTES

    body = rendering.text
    if fits(body):
        return made(body)
    low, high = 0, min(len(body), MAX_PLAINTEXT_BYTES)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(_cut(body, middle)) else (low, middle - 1)
    # A cut falls back to a word's end, so a shorter text can be the longer payload by a hair.
    while low and not fits(_cut(body, low)):
        low -= 1
    return made(_cut(body, low)) if low else None


def _cut(body: str, end: int) -> str:
    """The body up to `end`, back to a word's end where there is one near, and an ellipsis."""
    beginning = body[:end]
    space = max(beginning.rfind(" "), beginning.rfind("\n"))
    if space > end // 2:
        beginning = beginning[:space]
    return beginning.rstrip() + "…"


def outcome_of(delivery_id: int, answer: Answer) -> Outcome:
    """Class a push service's answer.

    A redirect, and a 4xx outside the protocol, concern this endpoint's odd server alone, so they
    are REFUSED_CONTENT: that neither stops the channel for others nor forgets the subscription.
    """
    if 200 <= answer.status < 300:
        return Outcome(delivery_id, provider_ref=answer.headers.get("Location", ""))
    error = _STATUSES.get(answer.status, REFUSED_CONTENT)
    if answer.status >= 500:
        error = server_failure(answer.status)
    return Outcome(
        delivery_id,
        error,
        provider_code=str(answer.status),
        retry_after_s=answer.retry_after_s,
    )

"""The push service: takes Web Push messages and decrypts them as the phone would.

Source: RFC 8030 (protocol), 8188 and 8291 (encryption), 8292 (identification). The phone's part
is done by the http_ece package, so that our own encryption is read by someone else's code.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime

import http_ece
from aiohttp import web

from alerting.embedded.carriers.drop import dropped
from alerting.embedded.carriers.intake import Intake
from alerting.embedded.carriers.received import Received, tidy
from alerting.embedded.carriers.subscriptions import receiver
from alerting.embedded.carriers.vapid_check import BadVapid, VapidCheck

#: What a push service must take at least, and browsers' services take at most (RFC 8030 §7.2).
MAX_BODY_BYTES = 4096
#: Header with a P-256 key, the delimiter of an empty text, and the tag that proves it.
_MIN_BODY_BYTES = 86 + 1 + 16
_NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_TTL = re.compile(r"\d{1,10}", re.ASCII)
_URGENCIES = frozenset({"very-low", "low", "normal", "high"})


class _Refused(Exception):
    def __init__(self, status: int, why: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers or {}


class PushService:
    """The handler of every subscription made from `seed`."""

    def __init__(self, seed: str, intake: Intake) -> None:
        self._seed = seed
        self._intake = intake
        self._vapid = VapidCheck()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/push/{name}", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        try:
            return await self._accept(request)
        except _Refused as e:
            self._intake.phones.refuse("push")
            return web.json_response({"error": str(e)}, status=e.status, headers=e.headers)

    async def _accept(self, request: web.Request) -> web.Response:
        desk = self._intake.desk
        faults = desk.faults.push
        if desk.too_fast("push", faults):
            raise _Refused(429, "Too many messages.", {"Retry-After": "1"})
        name = request.match_info["name"]
        if not _NAME.fullmatch(name):
            raise _Refused(404, "There is no such subscription.")
        if name in faults.gone:
            raise _Refused(faults.gone_status, "The subscription is gone.")
        origin = f"{request.scheme}://{request.host}"
        try:
            contact = self._vapid.sender(request.headers.get("Authorization", ""), origin)
        except BadVapid as e:
            raise _Refused(e.status, str(e)) from e
        ttl_s = _checked_headers(request)
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise _Refused(413, f"A message has at most {MAX_BODY_BYTES} bytes.")
        body = await request.content.read(MAX_BODY_BYTES + 1)
        while len(body) <= MAX_BODY_BYTES and not request.content.at_eof():
            body += await request.content.read(MAX_BODY_BYTES + 1 - len(body))
        if len(body) > MAX_BODY_BYTES:
            raise _Refused(413, f"A message has at most {MAX_BODY_BYTES} bytes.")
        await desk.delay(faults)
        if desk.strikes(faults.failure_rate):
            raise _Refused(faults.failure_status, "A fault set in the sandbox.")
        shown = self._read(name, body)
        path = f"/push/messages/{secrets.token_hex(16)}"
        try:
            await self._intake.take(self._received(request, name, contact, path, shown, ttl_s))
        except OSError as e:
            raise _Refused(503, "The sandbox cannot write its log.") from e
        if desk.strikes(faults.ambiguous_rate):
            return dropped(request)
        return web.Response(status=201, headers={"Location": origin + path, "TTL": str(ttl_s)})

    def _read(self, name: str, body: bytes) -> dict[str, object]:
        """Decrypt as the phone, and read the JSON a service worker would."""
        if len(body) < _MIN_BODY_BYTES:  # http_ece would read no record as an empty text
            raise _Refused(400, "The body holds no record.")
        phone = receiver(self._seed, name)
        try:
            clear = http_ece.decrypt(
                body, private_key=phone.private_key, auth_secret=phone.auth, version="aes128gcm"
            )
        except (http_ece.ECEException, ValueError) as e:
            raise _Refused(400, "The body is not encrypted for this subscription.") from e
        try:
            payload = json.loads(clear)
        except (ValueError, RecursionError):
            payload = {"body": clear.decode("utf-8", "replace")}
        return payload if isinstance(payload, dict) else {"body": json.dumps(payload)}

    def _received(
        self,
        request: web.Request,
        name: str,
        contact: str,
        path: str,
        payload: dict[str, object],
        ttl_s: int,
    ) -> Received:
        def text(key: str) -> str:
            value = payload.get(key)
            return self._intake.phones.keep(tidy(value)) if isinstance(value, str) else ""

        ref = payload.get("delivery")
        return Received(
            at=datetime.now(UTC),
            channel="push",
            id=path,
            to=name,
            sender=contact,
            ref=ref if isinstance(ref, int) and not isinstance(ref, bool) else None,
            body=text("body"),
            title=text("title"),
            url=text("url"),
            language=text("lang"),
            topic=request.headers.get("Topic", ""),
            tag=text("tag"),
            silent=payload.get("silent") is True,
            details={"urgency": request.headers.get("Urgency", "normal"), "ttl_s": ttl_s},
        )


def _checked_headers(request: web.Request) -> int:
    """The TTL in seconds. Raises _Refused for a header that is missing or not of the protocol."""
    headers = request.headers
    ttl = headers.get("TTL", "")
    if not _TTL.fullmatch(ttl):
        raise _Refused(400, "A TTL header with whole seconds is required.")
    if headers.get("Content-Encoding", "") != "aes128gcm":
        raise _Refused(400, "The Content-Encoding must be aes128gcm.")
    if not _TOPIC.fullmatch(headers.get("Topic", "none")):
        raise _Refused(400, "A Topic has 1 to 32 base64url characters.")
    if headers.get("Urgency", "normal") not in _URGENCIES:
        raise _Refused(400, "The Urgency is none of very-low, low, normal, high.")
    return int(ttl)

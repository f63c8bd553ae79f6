"""The Twilio-shaped API of one account: create, fetch and list messages, show the account.

Source: Twilio's Messages resource and its error dictionary. Answers and codes are Twilio's; what
is not needed to send texts and to look them up is not there.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from base64 import b64encode
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlencode

from aiohttp import web

from alerting.domain.segments import measure
from alerting.embedded.carriers.callbacks import Callbacks
from alerting.embedded.carriers.drop import dropped
from alerting.embedded.carriers.intake import Intake
from alerting.embedded.carriers.messages import Message, Messages, instant
from alerting.embedded.carriers.received import Received, tidy
from alerting.embedded.carriers.twilio_refusals import (
    MAX_VALIDITY_S,
    Refused,
    read_form,
    validate,
)

_MAX_PAGE = 1000
_DELIVERY = re.compile(r"[?&]delivery=(\d{1,19})(?:&|$)", re.ASCII)

# The same text goes to thousands of phones.
_segments = lru_cache(maxsize=512)(lambda body: measure(body).count)


class TwilioApi:
    """The handlers of one account."""

    def __init__(
        self, account: str, token: str, intake: Intake, messages: Messages, callbacks: Callbacks
    ) -> None:
        self._account = account
        self._authorization = b64encode(f"{account}:{token}".encode())
        self._intake = intake
        self._messages = messages
        self._callbacks = callbacks

    def routes(self) -> list[web.RouteDef]:
        base = "/2010-04-01/Accounts/{account}"
        return [
            web.post(f"{base}/Messages.json", self._create),
            web.get(f"{base}/Messages.json", self._list),
            web.get(base + "/Messages/{sid}.json", self._fetch),
            web.get(f"{base}.json", self._show_account),
            web.get(f"{base}/IncomingPhoneNumbers.json", self._numbers),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
            form = read_form(await request.read())
            return await self._accept(request, form)
        except Refused as e:
            self._intake.phones.refuse("sms")
            return e.answer()

    async def _accept(self, request: web.Request, form: dict[str, str]) -> web.Response:
        desk = self._intake.desk
        faults = desk.faults.sms
        if desk.too_fast("sms", faults):
            raise Refused(429, 20429, "Too Many Requests")
        validate(form, faults.opted_out)
        await desk.delay(faults)
        if desk.strikes(faults.failure_rate):
            raise Refused(faults.failure_status, faults.failure_code, "A fault set in the sandbox")
        message = self._message(form)
        try:
            await self._intake.take(_received(message))
        except OSError as e:
            raise Refused(503, 20503, "The sandbox cannot write its log") from e
        self._messages.add(message)
        if message.callback:
            self._callbacks.promise(
                message, reversed_order=desk.strikes(faults.callback_reorder_rate)
            )
        if desk.strikes(faults.ambiguous_rate):
            return dropped(request)
        # What the sender reads is the state at acceptance, however late it reads it.
        status = "accepted" if message.service else "queued"
        resource = message.resource(self._account, message.created_at, status=status)
        return _json(resource, 201)

    def _message(self, form: dict[str, str]) -> Message:
        """Settle the whole course of a message now, so that looking it up needs no timer."""
        desk = self._intake.desk
        faults = desk.faults.sms
        now = time.time()
        took_s = (faults.callback_delay_ms + desk.up_to(faults.callback_jitter_ms)) / 1000
        final, code = "delivered", None
        if took_s > int(form.get("ValidityPeriod", MAX_VALIDITY_S)):
            final, code = "failed", 30036
        elif desk.strikes(faults.undelivered_rate):
            final, code = "undelivered", faults.undelivered_code
        body = self._intake.phones.keep(tidy(form["Body"]))
        return Message(
            sid=f"SM{secrets.token_hex(16)}",
            to=form["To"],
            sender=form.get("From", ""),
            service=form.get("MessagingServiceSid", ""),
            body=body,
            segments=_segments(body),
            created_at=now,
            sent_at=now + took_s / 4,
            done_at=now + took_s,
            final=final,
            error_code=code,
            callback=form.get("StatusCallback", ""),
        )

    async def _fetch(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
            message = self._messages.get(request.match_info["sid"])
            if message is None:
                raise _not_found(request)
        except Refused as e:
            return e.answer()
        return _json(message.resource(self._account, time.time()))

    async def _list(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
            return self._page(request)
        except Refused as e:
            return e.answer()

    def _page(self, request: web.Request) -> web.Response:
        query = request.query
        since, before = 0.0, float("inf")
        try:
            if day := query.get("DateSent"):
                since, before = instant(day[:10]), instant(day[:10], end=True)
            if day := query.get("DateSent>"):
                since = instant(day)
            if day := query.get("DateSent<"):
                before = instant(day, end=True)
            size = min(_MAX_PAGE, max(1, int(query.get("PageSize", "50"))))
            page = max(0, int(query.get("Page", "0")))
        except ValueError as e:
            raise Refused(400, 20001, "A date, Page or PageSize cannot be read") from e
        found = self._messages.find(
            to=query.get("To", ""), sender=query.get("From", ""), since=since, before=before
        )
        window: list[Message] = []
        more = False
        for at, message in enumerate(found):
            if at >= (page + 1) * size:
                more = True
                break
            if at >= page * size:
                window.append(message)
        now = time.time()
        filters = {k: v for k, v in query.items() if k not in {"Page", "PageSize", "PageToken"}}

        def uri(number: int) -> str:
            return f"{request.path}?{urlencode({**filters, 'PageSize': size, 'Page': number})}"

        return _json(
            {
                "messages": [m.resource(self._account, now) for m in window],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(0, len(window) - 1),
                "uri": uri(page),
                "first_page_uri": uri(0),
                "previous_page_uri": uri(page - 1) if page else None,
                "next_page_uri": uri(page + 1) if more else None,
            }
        )

    async def _show_account(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
        except Refused as e:
            return e.answer()
        return _json({"sid": self._account, "status": "active", "type": "Full"})

    async def _numbers(self, request: web.Request) -> web.Response:
        """Whatever number is asked for is the account's: the sandbox sends by any."""
        try:
            self._authenticate(request)
        except Refused as e:
            return e.answer()
        number = request.query.get("PhoneNumber", "")
        owned = {"phone_number": number, "capabilities": {"sms": True}}
        return _json({"incoming_phone_numbers": [owned] if number else []})

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode(), self._authorization)
        if scheme.lower() != "basic" or not known:
            raise Refused(401, 20003, "Authenticate")
        if request.match_info["account"] != self._account:
            raise _not_found(request)


def _received(message: Message) -> Received:
    match = _DELIVERY.search(message.callback)
    return Received(
        at=datetime.fromtimestamp(message.created_at, UTC),
        channel="sms",
        id=message.sid,
        to=message.to,
        sender=message.sender or message.service,
        ref=int(match[1]) if match else None,
        body=message.body,
        segments=message.segments,
        details={
            "from": message.sender,
            "service": message.service,
            "outcome": message.final,
            "error_code": message.error_code,
        },
    )


def _not_found(request: web.Request) -> Refused:
    return Refused(404, 20404, f"The requested resource {request.path} was not found")


def _json(value: dict[str, object], status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(value).encode(), status=status, content_type="application/json"
    )

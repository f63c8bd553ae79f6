"""Create a message at Twilio: build each request with the SDK once and reuse it per text.

The requests of one text differ only in the number and in the address of the status callback. To
build each with the SDK cost more than the rest of the request, so it is built once, with marks in
their places.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

from multidict import CIMultiDict
from twilio.base import values
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from yarl import URL

from alerting.channels.sms.twilio_http import TwilioTransport

#: Texts remembered: those of a few alerts in each language, sender and second of validity left.
_MOST_TEXTS = 256

# A number stands in the form once; where Twilio reports ends with the delivery's own.
_TO, _DELIVERY = "+10000000001", "20000000002"


@dataclass(frozen=True, slots=True)
class Created:
    """What Twilio says of a message it has taken. failed: the status of one that failed at once,
    and `code` why, where it says so."""

    sid: str
    failed: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True)
class _Request:
    """A create as the SDK makes it; `parts` of its form stand around number and delivery."""

    url: URL
    headers: CIMultiDict[str]
    parts: tuple[bytes, ...]


class Creates:
    """Creates messages of one account.

    callback: where Twilio reports, up to the number of the delivery; empty where it shall not.
    """

    def __init__(
        self, transport: TwilioTransport, account_sid: str, token: str, *, callback: str
    ) -> None:
        self._transport = transport
        self._recorder = _Recorder()
        self._sdk = Client(account_sid, token, http_client=self._recorder).messages
        self._callback = callback
        self._requests: OrderedDict[tuple[object, ...], _Request] = OrderedDict()

    async def create(
        self,
        to: str,
        text: str,
        sender: Mapping[str, str],
        *,
        delivery_id: int,
        validity_s: int | None,
    ) -> Created:
        """Ask once. validity_s: how long it may wait in Twilio's queue; None leaves it to Twilio.

        Raises Refused for any answer but a 2xx, NoAnswer where none came, ValueError where a 2xx
        does not say what became of the message.
        """
        request = await self._request(text, sender, validity_s)
        number = quote_plus(to).encode("ascii")
        if self._callback:
            before, between, after = request.parts
            form = b"%b%b%b%d%b" % (before, number, between, delivery_id, after)
        else:
            before, after = request.parts
            form = b"%b%b%b" % (before, number, after)
        return _read(await self._transport.post(request.url, form, request.headers))

    async def _request(
        self, text: str, sender: Mapping[str, str], validity_s: int | None
    ) -> _Request:
        key = (text, tuple(sender.items()), validity_s)
        found = self._requests.get(key)
        if found is None:
            found = self._requests[key] = await self._made(text, sender, validity_s)
            if len(self._requests) > _MOST_TEXTS:
                self._requests.popitem(last=False)
        return found

    async def _made(self, text: str, sender: Mapping[str, str], validity_s: int | None) -> _Request:
        await self._sdk.create_async(
            to=_TO,
            body=text,
            validity_period=values.unset if validity_s is None else validity_s,
            status_callback=f"{self._callback}{_DELIVERY}" if self._callback else values.unset,
            **sender,
        )
        url, form, said = self._recorder.taken()
        where, headers = self._transport.url(url), self._transport.headers(said)
        # The number first and the report last, so that no text can hold what is looked for.
        to, callback = form.pop("To"), form.pop("StatusCallback", None)
        pairs = [("To", to), *form.items()]
        if callback is None:
            _, after = urlencode(pairs, doseq=True).split(quote_plus(_TO), 1)
            return _Request(where, headers, (b"To=", after.encode()))
        encoded = urlencode([*pairs, ("StatusCallback", callback)], doseq=True)
        _, after = encoded.split(quote_plus(_TO), 1)
        between, _, end = after.rpartition(_DELIVERY)
        return _Request(where, headers, (b"To=", between.encode(), end.encode()))


class _Recorder(AsyncHttpClient):  # type: ignore[misc]  # the SDK carries no types
    """Keeps what the SDK would have sent."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger(__name__), True, None)
        self._taken: tuple[str, dict[str, Any], dict[str, str]] | None = None

    async def request(
        self,
        method: str,
        url: str,
        params: object = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        **_ignored: Any,
    ) -> Response:
        self._taken = url, dict(data or {}), headers or {}
        return Response(201, "{}")

    def taken(self) -> tuple[str, dict[str, Any], dict[str, str]]:
        taken, self._taken = self._taken, None
        if taken is None:
            raise RuntimeError("the SDK made no request")
        return taken


def _read(body: bytes) -> Created:
    said = json.loads(body)
    if not isinstance(said, dict) or not isinstance(said.get("sid"), str) or not said["sid"]:
        raise ValueError("no sid")
    if (status := said.get("status")) in ("failed", "undelivered"):
        return Created(said["sid"], status, int(said.get("error_code") or 0))
    return Created(said["sid"])

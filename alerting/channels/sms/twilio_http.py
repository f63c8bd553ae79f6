"""The HTTP client the Twilio SDK is given, in place of the one it ships.

The shipped client ignores its timeout, opens its pool in the constructor, keeps connections on
error paths and can retry a POST, which is a second SMS. This one also answers refusals itself:
the SDK's exceptions hold the provider's message, and that quotes phone numbers.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

from multidict import CIMultiDict
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from yarl import URL

from alerting.channels.base import OUR_FAULT, REFUSED_CONTENT, THROTTLED, ErrorClass
from alerting.channels.http import Answer, HttpClient, server_failure
from alerting.channels.sms.twilio_codes import classify


class Refused(Exception):
    """Twilio answered with something other than success; holds neither number nor text."""

    def __init__(self, error: ErrorClass, code: str, retry_after_s: float | None) -> None:
        super().__init__(code)
        self.error = error
        self.code = code
        self.retry_after_s = retry_after_s


class TwilioTransport(AsyncHttpClient):  # type: ignore[misc]  # the SDK carries no types
    """Carries requests to `base_url`, whatever host the SDK names.

    Raises Refused for any answer but a 2xx, and NoAnswer where none came.
    """

    def __init__(self, client: HttpClient, base_url: str, account_sid: str, token: str) -> None:
        super().__init__(logging.getLogger(__name__), True, None)
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._login = {
            "Authorization": "Basic " + b64encode(f"{account_sid}:{token}".encode()).decode()
        }

    def url(self, url: str) -> URL:
        """Where a request the SDK addresses to `url` goes."""
        return URL(f"{self._base_url}/{url.partition('://')[2].partition('/')[2]}", encoded=True)

    def headers(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        """These and the account's login, ready to be sent again and again."""
        return CIMultiDict({**headers, **self._login})

    async def post(self, url: URL, form: bytes, headers: CIMultiDict[str]) -> bytes:
        """Post one encoded form to what `url` returned with what `headers` did; the answer's body,
        empty where it broke off."""
        return _taken(await self._client.post(url, form, headers))

    async def request(
        self,
        method: str,
        url: str,
        params: object = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        **_ignored: Any,
    ) -> Response:
        """Get one resource for the SDK; its `auth` and `timeout` are the session's business
        here."""
        if method != "GET" or data:
            raise NotImplementedError(f"This transport gets pages for the SDK, not {method}.")
        query = urlencode(cast(dict[str, object], params or {}), doseq=True)
        where = self.url(f"{url}?{query}" if query else url)
        answer = await self._client.get(where, self.headers(headers or {}))
        return Response(answer.status, _taken(answer).decode("utf-8", "replace"), answer.headers)


def _taken(answer: Answer) -> bytes:
    if not 200 <= answer.status < 300:
        raise refusal(answer)
    return answer.body if answer.whole else b""


def refusal(answer: Answer) -> Refused:
    """Class an answer by its HTTP status first, then by Twilio's code in its body."""
    code = _code(answer)
    shown = str(code or answer.status)
    if answer.status == 429:
        error = THROTTLED
    elif answer.status >= 500:
        error = server_failure(answer.status)
    elif code:
        error = classify(code)
    elif answer.status in (400, 422):
        error = REFUSED_CONTENT
    else:
        # A redirect, 401, 403, 404 or 405 without a code: not the API, or not ours.
        error = OUR_FAULT
    return Refused(error, shown, answer.retry_after_s)


def _code(answer: Answer) -> int | None:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return None
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) else None

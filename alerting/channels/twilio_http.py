"""The HTTP client the Twilio SDK is given, in place of the one it ships.

The shipped client ignores its timeout, opens its pool in the constructor, keeps connections on
error paths and can retry a POST, which is a second SMS. This one also answers refusals itself:
the SDK's exceptions hold the provider's message, and that quotes phone numbers.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote_plus, urlencode

from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from alerting.channels.base import OUR_FAULT, REFUSED_CONTENT, THROTTLED, ErrorClass
from alerting.channels.http import Answer, HttpClient, server_failure
from alerting.channels.twilio_codes import classify

#: A chunk's messages say the same in nearly every field.
_SHORT_MEMORY = 1024


class Refused(Exception):
    """Twilio answered with something other than success; holds neither number nor text."""

    def __init__(self, error: ErrorClass, code: str, retry_after_s: float | None) -> None:
        super().__init__(code)
        self.error = error
        self.code = code
        self.retry_after_s = retry_after_s


class TwilioTransport(AsyncHttpClient):  # type: ignore[misc]  # the SDK carries no types
    """Carries the SDK's requests to `base_url`, whatever host the SDK names.

    `request` raises Refused for any answer but a 2xx, and NoAnswer where none came.
    """

    def __init__(self, client: HttpClient, base_url: str, account_sid: str, token: str) -> None:
        super().__init__(logging.getLogger(__name__), True, None)
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._authorization = "Basic " + b64encode(f"{account_sid}:{token}".encode()).decode()

    async def request(
        self,
        method: str,
        url: str,
        params: object = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        **_ignored: Any,
    ) -> Response:
        """Post one form, or get one resource; the SDK's `auth` and `timeout` are the session's
        business here."""
        path = url.partition("://")[2].partition("/")[2]
        where = f"{self._base_url}/{path}"
        said = {**(headers or {}), "Authorization": self._authorization}
        if method == "POST" and not params:
            form = urlencode(data or {}, doseq=True, quote_via=_quoted).encode()
            answer = await self._client.post(where, form, said)
        elif method == "GET" and not data:
            query = urlencode(cast(dict[str, object], params or {}), doseq=True)
            answer = await self._client.get(f"{where}?{query}" if query else where, said)
        else:
            raise NotImplementedError(f"This transport posts forms and gets pages, not {method}.")
        if not 200 <= answer.status < 300:
            raise refusal(answer)
        text = answer.body.decode("utf-8", "replace") if answer.whole else ""
        return Response(answer.status, text, answer.headers)


@lru_cache(_SHORT_MEMORY)
def _quoted(text: str, safe: str, encoding: str | None, errors: str | None) -> str:
    return quote_plus(text, safe, encoding, errors)


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

"""Limits checked before routing: size of a request, and rate by network."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerting.api.problems import answer
from alerting.api.rate_limits import Rate, caller
from alerting.errors import AlertingError, BadInput, NotFound

#: Largest body, in bytes, of a path without a limit of its own.
USUAL_BYTES = 64_000

#: Citizens' pages per second and network: many phones share one address of a mobile network, and
#: open a page at once.
_PAGES_PER_S = 300

#: Operator endpoints per second and network.
_OPERATION_PER_S = 20
_OPERATION = frozenset({"/readyz", "/metrics", "/docs", "/docs.css", "/openapi.json"})

#: Not rate limited: answered from memory, or signed by Twilio. Thousands may answer in a minute.
_FREE = frozenset({"/healthz", "/webhooks/twilio/status", "/webhooks/twilio/message"})


class BodyTooLarge(BadInput):
    http_status = 413
    title = "Content too large"


class Bounded:
    """ASGI middleware that limits size and rate of requests, before they are routed or read.

    Answers 413 to a body that is too large, and 429 with `Retry-After` over a rate limit. Operator
    endpoints have a rate limit of their own.

    Args:
        bytes_by_path: Limits of single paths, in bytes.
        keyed: The rate limit of calls that need a key.
        pages: The rate limit of citizens' pages; None for the default.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        bytes_by_path: dict[str, int],
        keyed: Rate,
        pages: Rate | None = None,
    ) -> None:
        self._app = app
        self._bytes = bytes_by_path
        self._keyed = keyed
        self._pages = pages or Rate(_PAGES_PER_S)
        self._operation = Rate(_OPERATION_PER_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, size = self._bytes.get(scope["path"], USUAL_BYTES), 0
        try:
            self._check(scope, limit)
        except AlertingError as refused:
            await answer(refused)(scope, receive, send)
            return

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                # Not an AlertingError, which FastAPI would report as a body that cannot be parsed.
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit), {"Connection": "close"}
                )
            return message

        await self._app(scope, counted, send)

    def _check(self, scope: Scope, limit: int) -> None:
        path = scope["path"]
        # PostgreSQL's texts cannot contain NUL.
        if "\0" in path:
            raise NotFound("The path contains a NUL character; no address here has one.")
        if b"%00" in scope["query_string"]:
            raise BadInput("The query contains a NUL character.", remedy="Remove it.")
        if _length(scope) > limit:
            raise BodyTooLarge(_too_large(limit))
        if path.startswith("/v1/"):
            self._keyed.charge(caller(scope))
        elif path in _OPERATION:
            self._operation.charge(caller(scope))
        elif path not in _FREE:
            self._pages.charge(caller(scope))


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit:,} bytes."


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0

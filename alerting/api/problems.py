"""Every error as a problem document (RFC 9457): what is wrong, what to do, nothing internal."""

from __future__ import annotations

import json
from contextlib import suppress
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from alerting.api.rate_limits import Rate, TooMany, caller
from alerting.bootstrap import Runtime
from alerting.errors import RECORDED, AlertingError, Forbidden, NotMigrated, Unavailable
from alerting.observe.logs import logger
from alerting.observe.metrics import REFUSED
from alerting.store import audit_log
from alerting.store.db import AWAY

log = logger(__name__)

#: At most this many faults of a document are reported, each cut at this many characters.
_TOLD = 20
_CHARACTERS = 200

#: Log lines per second about refusals of one network.
_LINES_PER_S = 1


def problem(status: int, title: str, detail: str, **more: object) -> Response:
    """A problem document; `more`: further members."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    # In ASCII: a caller's input may contain characters that UTF-8 cannot encode.
    return Response(json.dumps(document), status, media_type="application/problem+json")


def answer(error: AlertingError) -> Response:
    """The problem document for an error that was raised on purpose."""
    detail = str(error)
    if isinstance(error, Unavailable) and not isinstance(error, NotMigrated):
        # Internal addresses go to the log, not to the caller.
        log.warning("request.unavailable", error=error.detail)
        detail = "A service that this needs does not answer at the moment. Try again."
    answered = problem(error.http_status, error.title, detail)
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        answered.headers["WWW-Authenticate"] = "Bearer"
    if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        answered.headers["Retry-After"] = "2"
    if isinstance(error, TooMany):
        answered.headers["Retry-After"] = str(error.wait_s)
    if error.http_status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # The rest of the body is not read.
        answered.headers["Connection"] = "close"
    return answered


async def _record_refused(request: Request, error: AlertingError) -> None:
    """Record a refusal in the audit if the caller is known."""
    actor = getattr(request.state, "actor", "")
    if not isinstance(error, Forbidden) or not actor or RECORDED in getattr(error, "__notes__", ()):
        return
    detail = {"method": request.method, "why": error.detail}
    # Undecoded: decoded it may contain characters that PostgreSQL cannot store.
    path = bytes(request.scope["raw_path"]).decode("ascii", "replace")[:200]
    with suppress(*AWAY):
        async with Runtime.of(request.app).db.begin() as connection:
            await audit_log.record(connection, actor, "request.refused", path, detail)


def install(app: FastAPI) -> None:
    """Answer every error of this app as a problem document."""
    lines = Rate(_LINES_PER_S)

    @app.exception_handler(AlertingError)
    async def deliberate(request: Request, error: AlertingError) -> Response:
        if error.http_status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            _count_refused(request, error, lines)
            await _record_refused(request, error)
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        errors = [
            {"where": _short(".".join(map(str, e["loc"]))), "what": _short(str(e["msg"]))}
            for e in error.errors()[:_TOLD]
        ]
        detail = "; ".join(f"{e['where']}: {e['what']}" for e in errors)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Bad input", detail, errors=errors)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        answered = problem(error.status_code, HTTPStatus(error.status_code).phrase, error.detail)
        answered.headers.update(error.headers or {})
        return answered

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        # The client is gone; this only completes the request.
        return problem(HTTPStatus.BAD_REQUEST, "Bad request", "The request was incomplete.")

    async def away(_: Request, error: Exception) -> Response:
        log.warning("request.unavailable", error=type(error).__name__)
        answered = problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Unavailable",
            "The connection to the database was lost meanwhile. Try again.",
        )
        answered.headers["Retry-After"] = "2"
        return answered

    for kind in AWAY:
        if not issubclass(kind, AlertingError):
            app.add_exception_handler(kind, away)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("request.failed", route=request.scope["path"], error=type(error).__name__)
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "Internal error",
            "The request could not be carried out. The log has the details.",
        )


def _count_refused(request: Request, error: AlertingError, lines: Rate) -> None:
    """Count a refusal, and log the caller's network."""
    route = getattr(request.scope.get("route"), "path", "none")
    REFUSED.labels(str(error.http_status)).inc()
    network = caller(request.scope)
    try:
        lines.charge(network)
    except TooMany:
        return
    log.warning("request.refused", status=error.http_status, route=route, network=network)


def _short(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}…"

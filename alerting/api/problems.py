"""Every error as a problem document (RFC 9457): what is wrong, what to do, nothing internal."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from alerting.bootstrap import Runtime
from alerting.errors import RECORDED, AlertingError, Forbidden
from alerting.observe.logs import logger
from alerting.store import audit
from alerting.store.db import AWAY

log = logger(__name__)


def problem(status: int, title: str, detail: str, **more: object) -> JSONResponse:
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(document, status, media_type="application/problem+json")


async def _note_refusal(request: Request, error: AlertingError) -> None:
    """Keep who was refused what: in the audit where it is known who asked, else in the log."""
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        client = request.client.host if request.client else ""
        log.warning("request.unknown", route=_route(request), client=client)
    actor = getattr(request.state, "actor", "")
    if not isinstance(error, Forbidden) or not actor or RECORDED in getattr(error, "__notes__", ()):
        return
    detail = {"method": request.method, "why": error.detail}
    with suppress(*AWAY):
        async with Runtime.of(request.app).db.begin() as connection:
            await audit.record(connection, actor, "request.refused", request.url.path[:200], detail)


def _route(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "path", "none"))


def install(app: FastAPI) -> None:
    """Answer every error of this app as a problem document."""

    @app.exception_handler(AlertingError)
    async def deliberate(request: Request, error: AlertingError) -> JSONResponse:
        await _note_refusal(request, error)
        answer = problem(error.http_status, error.title, str(error))
        if error.http_status == HTTPStatus.UNAUTHORIZED:
            answer.headers["WWW-Authenticate"] = "Bearer"
        if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
            answer.headers["Retry-After"] = "2"
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"where": ".".join(map(str, e["loc"])), "what": str(e["msg"])} for e in error.errors()
        ]
        detail = "; ".join(f"{e['where']}: {e['what']}" for e in errors)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Bad input", detail, errors=errors)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        answer = problem(error.status_code, HTTPStatus(error.status_code).phrase, error.detail)
        answer.headers.update(error.headers or {})
        return answer

    async def away(_: Request, error: Exception) -> JSONResponse:
        log.warning("request.unavailable", error=type(error).__name__)
        answer = problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Unavailable",
            "The database went away while this was done. Ask again.",
        )
        answer.headers["Retry-After"] = "2"
        return answer

    for kind in AWAY:
        if not issubclass(kind, AlertingError):
            app.add_exception_handler(kind, away)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("request.failed", route=request.url.path, error=type(error).__name__)
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "Internal error",
            "The request could not be carried out. The log has the details.",
        )

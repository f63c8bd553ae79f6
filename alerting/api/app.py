"""The HTTP application: routes, errors, metrics, and what they share while it runs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerting.api import (
    alarm_routes,
    alert_routes,
    audit_routes,
    event_routes,
    health_routes,
    policy_routes,
    problems,
    reference,
    silence_routes,
    webhooks,
)
from alerting.api.access import Rates
from alerting.api.bounds import Bounded
from alerting.api.described import ABOUT, Described
from alerting.bootstrap import Runtime
from alerting.garbage import freeze_startup_objects
from alerting.observe.metrics import REQUEST_SECONDS, REQUESTS, watch_pool
from alerting.observe.tracing import traced
from alerting.settings import Settings
from alerting.store.ledger.receipt_intake import Intake
from alerting.throttle.policy.parse import MAX_CHARACTERS

#: Security headers of every response: our pages run and load nothing from elsewhere.
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    settings: Settings, *pages: APIRouter, now_s: Callable[[], float] = time.monotonic
) -> FastAPI:
    """The API and `pages` over one runtime, opened when it starts and closed when it ends.

    now_s: the clock of rate limits, in seconds.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with traced(settings.otlp_endpoint, "alerting-api"):
            async with Runtime.open(settings) as runtime:
                app.state.runtime = runtime
                watch_pool(lambda: runtime.db.pool)
                app.state.intake = Intake(runtime.db)
                freeze_startup_objects()
                yield

    app = Described(
        title="Alerting",
        version=version("alerting"),
        description=ABOUT,
        lifespan=lifespan,
        # FastAPI's own pages load scripts from elsewhere, which a crisis takes away.
        docs_url=None,
        redoc_url=None,
        # It would send on to whatever host the client named.
        redirect_slashes=False,
    )
    app.state.rates = Rates(settings, now_s=now_s)
    problems.install(app)
    ours = (
        webhooks,
        alert_routes,
        alarm_routes,
        event_routes,
        silence_routes,
        policy_routes,
        audit_routes,
        health_routes,
        reference,
    )
    for router in (*(part.router for part in ours), *pages):
        app.include_router(router)
    app.add_middleware(webhooks.ReportsFirst)
    app.add_middleware(
        Bounded,
        bytes_by_path={"/v1/alerts": settings.max_alert_bytes, "/v1/policy": 4 * MAX_CHARACTERS},
        keyed=app.state.rates.network,
    )
    app.add_middleware(_Observed, headers=_headers(settings))
    return app


def _headers(settings: Settings) -> dict[str, str]:
    """Headers of every response; HSTS where the public URL is https."""
    if settings.public_url.startswith("https://"):
        return _SECURITY | {"Strict-Transport-Security": "max-age=31536000"}
    return _SECURITY


class _Observed:
    """Counts each request under its route, and tells the browser what it may do.

    No `BaseHTTPMiddleware`: that runs each request in a task of its own behind two queues, which
    costs more than all the rest of a status callback.
    """

    def __init__(self, app: ASGIApp, *, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            REQUESTS.labels(scope["method"], route, str(status)).inc()
            REQUEST_SECONDS.labels(scope["method"], route).observe(time.perf_counter() - start)

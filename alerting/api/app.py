"""The HTTP application: routes, errors, metrics, and what they share while it runs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request, Response

from alerting.api import (
    alerts,
    events,
    health,
    policy,
    problems,
    reference,
    silences,
    webhooks,
)
from alerting.bootstrap import Runtime
from alerting.observe.metrics import REQUEST_SECONDS, REQUESTS
from alerting.settings import Settings

#: What a page or document of ours may do in a browser: nothing but show itself.
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(settings: Settings, *pages: APIRouter) -> FastAPI:
    """The API and `pages` over one runtime, opened when it starts and closed when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Runtime.open(settings) as runtime:
            app.state.runtime = runtime
            app.state.intake = webhooks.Intake(runtime.db)
            yield

    app = FastAPI(
        title="Alerting",
        version=version("alerting"),
        description="Submit CAP alerts and see what became of every delivery.",
        lifespan=lifespan,
        # FastAPI's own pages load scripts from elsewhere, which a crisis takes away.
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    ours = (alerts, events, silences, policy, webhooks, health, reference)
    for router in (*(part.router for part in ours), *pages):
        app.include_router(router)
    app.middleware("http")(_observed)
    return app


async def _observed(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Count the request under its route, and tell the browser what it may do."""
    start = time.perf_counter()
    status = 500
    try:
        response = await call_next(request)
        status = response.status_code
    finally:
        route = getattr(request.scope.get("route"), "path", "none")
        REQUESTS.labels(request.method, route, str(status)).inc()
        REQUEST_SECONDS.labels(request.method, route).observe(time.perf_counter() - start)
    for name, value in _SECURITY.items():
        response.headers.setdefault(name, value)
    return response

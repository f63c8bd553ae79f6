"""Who may call what: a bearer key with the right, or a problem document."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from alerting.api.rates import AtOnce, Rate, caller
from alerting.bootstrap import Runtime
from alerting.errors import NotAllowed
from alerting.settings import Settings
from alerting.store.admin import api_keys
from alerting.store.admin.api_keys import ApiKey

_bearer = HTTPBearer(auto_error=False, description="An API key: `alerting keys create NAME`.")

#: The rate is divided by this for requests with an invalid key: each may be a guess and costs a
#: database query.
_WRONG = 10

#: Cost of a dry run in requests, and how many may run at once: each takes much processor time and
#: holds a database connection that submissions need.
_DRY_RUN = 25
_DRY_RUNS = 2


class Rates:
    """Rate limits of calls that need a key, by network and by key.

    wrong: for requests with an invalid key, counted apart so that guesses from a network do not
    shut out its valid keys.
    """

    def __init__(self, settings: Settings) -> None:
        self.network = Rate(settings.network_rate)
        self.wrong = Rate(settings.network_rate / _WRONG)
        self.key = Rate(settings.key_rate)
        self._dry_runs = AtOnce(_DRY_RUNS)

    @contextmanager
    def dry_run(self, key: ApiKey) -> Iterator[None]:
        """Hold a place for a dry run of this key while the block lasts. Raises TooMany."""
        with self._dry_runs.one(key.prefix):
            self.key.charge(key.prefix, _DRY_RUN)
            yield


def runtime(request: Request) -> Runtime:
    """The runtime that was opened when the application started."""
    return Runtime.of(request.app)


RuntimeDep = Annotated[Runtime, Depends(runtime)]


class Requires:
    """A dependency that lets only keys with `right` through. Raises NotAllowed, Forbidden, TooMany.

    On a `Keyed` route the key was checked before the body was read, and is not looked up again.
    """

    def __init__(self, right: str) -> None:
        self._right = right

    async def __call__(
        self,
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> ApiKey:
        known = getattr(request.state, "key", None)
        return known if isinstance(known, ApiKey) else await self.check(request, credentials)

    async def check(
        self, request: Request, credentials: HTTPAuthorizationCredentials | None
    ) -> ApiKey:
        if credentials is None:
            raise NotAllowed(
                "This needs an API key.", remedy="Send Authorization: Bearer ak_… with it."
            )
        rates: Rates = request.app.state.rates
        try:
            async with Runtime.of(request.app).db.begin() as connection:
                key = await api_keys.verify(connection, credentials.credentials)
        except NotAllowed:
            rates.wrong.charge(caller(request.scope))
            raise
        request.state.actor = key.principal.actor
        rates.key.charge(key.prefix)
        key.principal.require(self._right)
        return key


class Keyed(APIRoute):
    """A route whose key is checked before its body is read: FastAPI reads and parses first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        needs = next(
            (d.call for d in self.dependant.dependencies if isinstance(d.call, Requires)), None
        )

        async def keyed(request: Request) -> Response:
            if needs is not None:
                request.state.key = await needs.check(request, await _bearer(request))
            return await handler(request)

        return keyed

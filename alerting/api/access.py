"""Authentication and authorisation: a bearer key with the right, or a problem document."""

from __future__ import annotations

import difflib
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, get_origin

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import QueryParams

from alerting.api.rate_limits import AtOnce, Rate, caller
from alerting.bootstrap import Runtime
from alerting.errors import BadInput, NotAllowed
from alerting.settings import Settings
from alerting.store.admin import api_keys
from alerting.store.admin.api_keys import ApiKey

_bearer = HTTPBearer(auto_error=False, description="An API key: `alerting keys create NAME`.")

#: The rate is divided by this for requests with an invalid key: each may be a guess and costs a
#: database query.
_WRONG = 10

#: Cost of a dry run in requests, and the most concurrent ones: each takes much processor time and
#: holds a database connection that submissions need.
_DRY_RUN = 25
_DRY_RUNS = 2


class Rates:
    """Rate limits of calls that need a key, by network and by key.

    Attributes:
        wrong: For requests with an invalid key, counted separately so that guesses from a network
            do not block its valid keys.

    Args:
        now_s: A monotonic clock, in seconds.
    """

    def __init__(self, settings: Settings, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self.network = Rate(settings.network_rate, now_s=now_s)
        self.wrong = Rate(settings.network_rate / _WRONG, now_s=now_s)
        self.key = Rate(settings.key_rate, now_s=now_s)
        self._dry_runs = AtOnce(_DRY_RUNS)

    @contextmanager
    def dry_run(self, key: ApiKey) -> Iterator[None]:
        """Acquire a slot for a dry run of this key; released on exit. Raises TooMany."""
        with self._dry_runs.one(key.prefix):
            self.key.charge(key.prefix, _DRY_RUN)
            yield


def runtime(request: Request) -> Runtime:
    """The runtime that was opened when the application started."""
    return Runtime.of(request.app)


RuntimeDep = Annotated[Runtime, Depends(runtime)]


class Requires:
    """A dependency that admits only keys with a right.

    On a `Keyed` route the key was checked before the body was read, and is not looked up again.

    Raises:
        NotAllowed: Without a valid key.
        Forbidden: For a key without the right.
        TooMany: Over a rate limit.
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
    """A route that checks the key before it reads the body; FastAPI reads and parses first.

    Unknown query parameters are refused, and repeated ones unless they are lists: a typing error
    such as `dryrun=true` must not send an alert.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        needs = next(
            (d.call for d in self.dependant.dependencies if isinstance(d.call, Requires)), None
        )

        names = _parameters(self)

        async def keyed(request: Request) -> Response:
            if needs is not None:
                request.state.key = await needs.check(request, await _bearer(request))
            _refuse_unknown(request.query_params, names)
            return await handler(request)

        return keyed


def _parameters(route: APIRoute) -> dict[str, bool]:
    """The names of a route's query parameters, and whether each may come several times."""
    return {
        field.alias: get_origin(field.field_info.annotation) is list
        for field in route.dependant.query_params
    }


def _refuse_unknown(given: QueryParams, names: Mapping[str, bool]) -> None:
    """Raise BadInput for a query parameter that does not exist, or that is repeated."""
    counts = Counter(name for name, _ in given.multi_items())
    for name, count in counts.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            known = ", ".join(names) or "none"
            raise BadInput(
                f"There is no parameter {name[:80]!r}.",
                remedy=f"Did you mean {near[0]!r}?" if near else f"There are: {known}.",
            )
        if count > 1 and not names[name]:
            raise BadInput(
                f"The parameter {name!r} is given {count} times.", remedy="Give it once."
            )

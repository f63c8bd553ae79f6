"""Who may call what: a bearer key with the right, or a problem document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from alerting.bootstrap import Runtime
from alerting.errors import NotAllowed
from alerting.store import keys
from alerting.store.keys import ApiKey

_bearer = HTTPBearer(auto_error=False, description="An API key: `alerting keys create NAME`.")


def runtime(request: Request) -> Runtime:
    """What this process opened when it started."""
    return Runtime.of(request.app)


RuntimeDep = Annotated[Runtime, Depends(runtime)]


def having(right: str) -> Callable[..., Awaitable[ApiKey]]:
    """A dependency that lets only keys with `right` through. Raises NotAllowed, Forbidden."""

    async def check(
        request: Request,
        run: RuntimeDep,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> ApiKey:
        if credentials is None:
            raise NotAllowed(
                "This needs an API key.", remedy="Send Authorization: Bearer ak_… with it."
            )
        async with run.db.begin() as connection:
            key = await keys.verify(connection, credentials.credentials)
        request.state.actor = key.principal.actor
        key.principal.require(right)
        return key

    return check

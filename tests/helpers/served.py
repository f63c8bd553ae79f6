"""The application as a test sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from alerting.bootstrap import Runtime
from alerting.domain.principal import internal
from alerting.store.admin import api_keys, stored_people

PUBLIC = "https://alerts.example.org"


@dataclass
class Served:
    app: FastAPI
    http: httpx.AsyncClient
    runtime: Runtime
    key: str

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def person(self, name: str, *rights: str) -> dict[str, str]:
        """A person who speaks for everybody is added; returns what they send with a request."""
        async with self.runtime.db.begin() as c:
            owner = await stored_people.add(
                c, name, by=internal("test"), rights=rights, senders=("*",)
            )
            key = await api_keys.create(c, f"{name}-1", rights, by=internal("test"), owner=owner)
        return {"Authorization": f"Bearer {key}"}


def every_route(routes: Iterable[Any]) -> Iterator[Any]:
    """All routes, those of included routers too."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from every_route(inner.routes)

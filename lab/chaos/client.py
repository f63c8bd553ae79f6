"""The coordinator: submits and cancels by REST, again when no answer came."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from alerting.cap import to_xml
from alerting.domain.alert import Alert
from alerting.errors import WorkFailed

_TRIES = 30


class Client:
    """One API key at one address. A request without an answer is sent again with the same
    idempotency key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = f"{url}/v1/alerts"
        self._key = key

    async def submit(self, alert: Alert) -> UUID:
        """Raises WorkFailed when the API refuses the alert."""
        document = await self._post("", to_xml(alert), "application/cap+xml")
        return UUID(document["id"])

    async def cancel(self, alert_id: UUID) -> dict[str, Any]:
        """Raises WorkFailed when the API refuses."""
        return await self._post(f"/{alert_id}/cancel", b"{}", "application/json")

    async def _post(self, path: str, data: bytes, kind: str) -> dict[str, Any]:
        headers: Mapping[str, str] = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": kind,
            "Idempotency-Key": uuid4().hex,
        }
        timeout = aiohttp.ClientTimeout(total=30)
        said = ""
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for _ in range(_TRIES):
                try:
                    async with session.post(
                        f"{self._url}{path}", data=data, headers=headers
                    ) as answer:
                        said = await answer.text()
                        if answer.status in {200, 202}:
                            document: dict[str, Any] = await answer.json(content_type=None)
                            return document
                        if answer.status < 500:
                            break
                except (aiohttp.ClientError, TimeoutError) as e:
                    said = type(e).__name__
                await asyncio.sleep(0.5)
        raise WorkFailed(f"The API did not take it: {said}")

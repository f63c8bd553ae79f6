"""Rests: what workers tell each other of providers that are to be left alone, kept in Redis.

One key for each provider that rests; it ends with the rest, so that nothing here depends on
anybody's clock and a worker that dies leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from alerting.errors import Unavailable

TIMEOUT_S = 1.0

_T = TypeVar("_T")

#: uvloop raises RuntimeError where a connection that was reset is written to.
_GONE = (RedisError, OSError, RuntimeError)


class Rests:
    """The rests of all workers. Every method raises Unavailable when Redis does not answer.

    client: made by `budget.redis.connect`, or another that returns bytes.
    """

    def __init__(self, client: Redis, *, timeout_s: float = TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def tell(self, provider: str, rest_s: float) -> None:
        """Say that a provider rests for so long; 0 says that it works again."""
        if rest_s > 0:
            await self._answer(self._client.set(_key(provider), b"1", px=round(rest_s * 1000) or 1))
        else:
            await self._answer(self._client.delete(_key(provider)))

    async def told(self, providers: Sequence[str]) -> dict[str, float]:
        """How long each still rests, in seconds; those that do not rest are left out."""
        pipe = self._client.pipeline(transaction=False)
        for name in providers:
            pipe.pttl(_key(name))
        left_ms = await self._answer(pipe.execute())
        return {n: ms / 1000 for n, ms in zip(providers, left_ms, strict=True) if ms > 0}

    async def turn(self, what: str, every_s: float) -> bool:
        """True for one of all that ask within `every_s`."""
        key = f"alerting:turn:{what}"
        return bool(
            await self._answer(self._client.set(key, b"1", nx=True, px=round(every_s * 1000)))
        )

    async def _answer(self, asked: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asked
        except _GONE as e:
            # TimeoutError is an OSError.
            raise Unavailable(f"No rest is told through Redis: {type(e).__name__}.") from e


def _key(provider: str) -> str:
    return f"alerting:{{rest-{provider}}}"

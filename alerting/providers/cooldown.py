"""Cooldowns: the workers' breakers of one provider tell each other when they open and close.

Every breaker decides alone and at once; this only saves the other workers the calls that would
teach them the same. Kept in Redis, one key for each provider that cools down; it expires with the
cooldown, so that nothing depends on anybody's clock and a worker that dies leaves nothing behind.
Without Redis each breaker learns for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from alerting.background import background_task
from alerting.errors import Unavailable
from alerting.observe.logs import logger
from alerting.providers.breaker import Breaker

log = logger(__name__)

TIMEOUT_S = 1.0

#: How often Redis is asked, and how soon again after it did not answer.
EVERY_S = 0.25
_RETRY_S = 1.0

_T = TypeVar("_T")

#: uvloop raises RuntimeError where a connection that was reset is written to.
_GONE = (RedisError, OSError, RuntimeError)


class CooldownStore:
    """The cooldowns of all workers. Every method raises Unavailable when Redis does not answer.

    client: made by `redis_budget.connect`, or another that returns bytes.
    """

    def __init__(self, client: Redis, *, timeout_s: float = TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def put(self, provider: str, cooldown_s: float) -> None:
        """Publish that a provider cools down for this long; 0 that it works again."""
        if cooldown_s > 0:
            lasts_ms = round(cooldown_s * 1000) or 1
            await self._answer(self._client.set(_key(provider), b"1", px=lasts_ms))
        else:
            await self._answer(self._client.delete(_key(provider)))

    async def remaining(self, providers: Sequence[str]) -> dict[str, float]:
        """How long each still cools down, in seconds; providers that do not are left out."""
        pipe = self._client.pipeline(transaction=False)
        for name in providers:
            pipe.pttl(_key(name))
        left_ms = await self._answer(pipe.execute())
        return {n: ms / 1000 for n, ms in zip(providers, left_ms, strict=True) if ms > 0}

    async def elected(self, task: str, every_s: float) -> bool:
        """True for exactly one of all workers that ask within `every_s`."""
        key = f"alerting:turn:{task}"
        return bool(
            await self._answer(self._client.set(key, b"1", nx=True, px=round(every_s * 1000)))
        )

    async def _answer(self, asked: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asked
        except _GONE as e:
            # TimeoutError is an OSError.
            raise Unavailable(f"Redis shares no cooldowns: {type(e).__name__}.") from e


class CooldownSync:
    """Keeps this process's breakers and the store in step. Lives on one event loop; never raises
    but from `exchange`.

    `changed` is for the breakers' callbacks; `exchange` and `running` take the breakers by their
    providers' names.
    """

    def __init__(self, store: CooldownStore) -> None:
        self._store = store
        self._changed: set[str] = set()
        self._remote: set[str] = set()
        self._wake = asyncio.Event()

    def changed(self, provider: str) -> None:
        """This process's breaker of a provider opened or closed."""
        self._changed.add(provider)
        self._wake.set()

    async def exchange(self, breakers: Mapping[str, Breaker]) -> None:
        """Publish this process's changes and apply those of others. Raises Unavailable."""
        for name in list(self._changed):
            # The state of now: Redis may have been away since the change.
            await self._store.put(name, breakers[name].wait_s())
            self._changed.discard(name)
        cooling = await self._store.remaining(list(breakers))
        for name, breaker in breakers.items():
            if name in cooling:
                self._remote.add(name)
                breaker.cool_down(cooling[name])
            elif name in self._remote:
                # It expired, or the worker that opened it found the provider well: probe.
                self._remote.discard(name)
                breaker.end_cooldown()

    @asynccontextmanager
    async def running(self, breakers: Mapping[str, Breaker]) -> AsyncIterator[None]:
        """Exchange repeatedly while the block lasts."""
        async with background_task(self._forever(breakers)):
            yield

    async def _forever(self, breakers: Mapping[str, Breaker]) -> None:
        while True:
            pause_s = EVERY_S
            try:
                await self.exchange(breakers)
            except Unavailable:
                pause_s = _RETRY_S
            except Exception:
                log.exception("cooldown.not_shared")
                pause_s = _RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            self._wake.clear()


def _key(provider: str) -> str:
    # "rest" and "turn" are older names; they stay, so that workers of two releases hear each other.
    return f"alerting:{{rest-{provider}}}"

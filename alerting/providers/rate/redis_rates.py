"""The rate limiter's reservations in Redis: one script call for up to a thousand tokens."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from alerting.domain.lane import Lane
from alerting.errors import Unavailable
from alerting.providers.rate.contract import HEADROOM, HIGH, MICRO, Grant, Rate, pause_us, unlimited

TIMEOUT_S = 1.0

#: uvloop raises RuntimeError where a connection that was reset is written to.
GONE = (RedisError, OSError, RuntimeError)

_REPLY_LENGTH = 7


class RedisRateStore:
    """The reservations of all workers.

    client: made by `redis_budget.connect`, or another that returns bytes. worker: names this
    process among the workers. timeout_s: for calls that name none. now_s: seconds since 1970, for
    tests and simulated time; None takes the server's own clock, so that workers whose clocks
    differ still agree. An emptied Redis has forgotten the reservations: for as long as these
    reached ahead, well below a second, the provider may see more than its rate.
    """

    def __init__(
        self,
        client: Redis,
        *,
        worker: str | None = None,
        now_s: Callable[[], float] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._client = client
        self._worker = worker or uuid.uuid4().hex
        self._now_s = now_s
        self._timeout_s = timeout_s
        self._server_ahead_us: int | None = None

    async def reserve(
        self,
        sender: str,
        lane: Lane,
        tenant: str,
        tokens: int,
        rate: Rate,
        *,
        unit: int = 1,
        timeout_s: float | None = None,
    ) -> Grant:
        """See RateStore.reserve.

        Raises Unavailable when Redis refuses the connection, is silent, still loading, full,
        read-only, or its reply is not the script's.
        """
        if rate.per_second <= 0:
            return unlimited(tokens)
        horizon_us = round(rate.horizon_s * MICRO)
        now, epoch, granted, start, length, wait, workers = await self._run(
            sender,
            lane,
            rate,
            ("reserve", lane.value, int(lane in HIGH), tenant, self._worker, tokens, unit,
             horizon_us),
            timeout_s,
        )  # fmt: skip
        return Grant(
            epoch,
            granted,
            (start - now) / MICRO,
            length / granted / MICRO if granted else 0.0,
            wait / MICRO,
            workers,
        )

    async def report(
        self,
        sender: str,
        rate: Rate,
        *,
        throttled: bool,
        retry_after_s: float | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """See RateStore.report. Raises Unavailable as `reserve` does."""
        if rate.per_second <= 0:
            return
        said = ("throttled", pause_us(retry_after_s)) if throttled else ("succeeded", 0)
        await self._run(sender, Lane.ROUTINE, rate, said, timeout_s)

    async def epochs(self, sender: str) -> AsyncGenerator[int, None]:
        """See RateStore.epochs. Keeps a connection of its own for as long as it is listened to."""
        channel = _keys(sender, Lane.ROUTINE)[0]
        try:
            async with self._client.pubsub(ignore_subscribe_messages=True) as heard:
                await heard.subscribe(channel)
                async for message in heard.listen():
                    yield int(message["data"])
        except GONE as e:
            raise Unavailable(
                f"The rate limiter's subscription to Redis ended: {type(e).__name__}."
            ) from e

    async def _run(
        self,
        sender: str,
        lane: Lane,
        rate: Rate,
        words: tuple[str | int, ...],
        timeout_s: float | None,
    ) -> list[int]:
        """The script's reply, whose `now` is moved to the moment at which it is read."""
        keys = _keys(sender, lane)
        now = "" if self._now_s is None else math.floor(self._now_s() * MICRO)
        figures = (now, repr(rate.per_second * HEADROOM), repr(rate.severe_share))
        asked = _local_us()
        try:
            async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                reply = await self._call(len(keys), *keys, *figures, *words)
        except GONE as e:
            # TimeoutError is an OSError.
            raise Unavailable(
                f"The rate limiter has no answer from Redis: {type(e).__name__}."
            ) from e
        if (
            not isinstance(reply, list)
            or len(reply) != _REPLY_LENGTH
            or not all(isinstance(n, int) for n in reply)
        ):
            raise Unavailable("The rate limiter's reply from Redis is not that of its script.")
        if self._now_s is None:
            reply[0] = self._server_now(reply[0], asked)
        return reply

    def _server_now(self, told: int, asked: int) -> int:
        """The server's clock now, corrected for the time the reply took.

        It showed `told` at some moment between request and reply. The last known offset is kept
        while it is still possible, so that one slow reply does not shift it.
        """
        read = _local_us()
        known = self._server_ahead_us
        least, most = told - read, told - asked
        self._server_ahead_us = least if known is None else min(max(known, least), most)
        return read + self._server_ahead_us

    async def _call(self, *words: object) -> object:
        try:
            return await cast(Awaitable[object], self._client.evalsha(_digest(), *words))  # type: ignore[arg-type]
        except NoScriptError:
            return await cast(Awaitable[object], self._client.eval(_script(), *words))  # type: ignore[arg-type]


def _keys(sender: str, lane: Lane) -> list[str]:
    """All tagged by the sender, so that a cluster holds them in one slot.

    "pace" is an older name; it stays, or workers of two releases would each use the whole rate
    during a rolling upgrade.
    """
    base = f"alerting:{{pace-{sender}}}"
    line = f"{base}:{lane.value}"
    return [base, f"{base}:workers", f"{line}:had", f"{line}:asked", f"{line}:waiting"]


def _local_us() -> int:
    return time.monotonic_ns() // 1_000


@cache
def _script() -> str:
    return files("alerting.providers.rate").joinpath("rate.lua").read_text(encoding="utf-8")


@cache
def _digest() -> str:
    return hashlib.sha1(_script().encode(), usedforsecurity=False).hexdigest()

"""The pace in Redis, shared by all workers: one script call for up to a thousand tokens."""

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
from alerting.throttle.pace import HEADROOM, HIGH, MICRO, Grant, Rate, pause_us, unshaped

TIMEOUT_S = 1.0

#: uvloop raises RuntimeError where a connection that was reset is written to.
GONE = (RedisError, OSError, RuntimeError)

_REPLY_LENGTH = 7


class RedisPace:
    """The pace of all workers.

    client: made by `budget.redis.connect`, or another that returns bytes. worker: names this
    process among the workers. timeout_s: for calls that name none. now_s: seconds since 1970, for
    tests and simulated time; None takes the server's own clock, so that workers whose clocks
    differ still agree. An emptied Redis has forgotten what is reserved: for as long as that
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
        """See Pace.reserve.

        Raises Unavailable when Redis refuses the connection, is silent, still loading, full,
        read-only, or says what the script never says.
        """
        if rate.per_second <= 0:
            return unshaped(tokens)
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
        """See Pace.report. Raises Unavailable as `reserve` does."""
        if rate.per_second <= 0:
            return
        said = ("throttled", pause_us(retry_after_s)) if throttled else ("succeeded", 0)
        await self._run(sender, Lane.ROUTINE, rate, said, timeout_s)

    async def epochs(self, sender: str) -> AsyncGenerator[int, None]:
        """See Pace.epochs. Keeps a connection of its own for as long as it is listened to."""
        channel = _keys(sender, Lane.ROUTINE)[0]
        try:
            async with self._client.pubsub(ignore_subscribe_messages=True) as heard:
                await heard.subscribe(channel)
                async for message in heard.listen():
                    yield int(message["data"])
        except GONE as e:
            raise Unavailable(f"The pace hears nothing from Redis: {type(e).__name__}.") from e

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
            raise Unavailable(f"The pace has no answer from Redis: {type(e).__name__}.") from e
        if (
            not isinstance(reply, list)
            or len(reply) != _REPLY_LENGTH
            or not all(isinstance(n, int) for n in reply)
        ):
            raise Unavailable("Redis said what the pace's script never says.")
        if self._now_s is None:
            reply[0] = self._server_now(reply[0], asked)
        return reply

    def _server_now(self, told: int, asked: int) -> int:
        """What the server's clock shows now, though the reply took its time.

        It showed `told` at some moment between question and answer. What was known before of how
        far it is ahead is kept if that can still be true, so a slow reply misleads nobody.
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
    """All tagged by the sender, so that a cluster holds them in one slot."""
    base = f"alerting:{{pace-{sender}}}"
    line = f"{base}:{lane.value}"
    return [base, f"{base}:workers", f"{line}:had", f"{line}:asked", f"{line}:waiting"]


def _local_us() -> int:
    return time.monotonic_ns() // 1_000


@cache
def _script() -> str:
    return files("alerting.throttle.pace").joinpath("pace.lua").read_text(encoding="utf-8")


@cache
def _digest() -> str:
    return hashlib.sha1(_script().encode(), usedforsecurity=False).hexdigest()

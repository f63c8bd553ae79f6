"""The budget in Redis, shared by all workers: one script call for up to 1,000 citizens."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from alerting.errors import Unavailable
from alerting.throttle.budget import Answer, Ask, Limits, class_of
from alerting.throttle.budget.wire import Call, pack_figures, plan, read_reply

TIMEOUT_S = 1.0

#: uvloop raises RuntimeError on a write to a connection that was reset.
GONE = (RedisError, OSError, RuntimeError)


def connect(url: str) -> Redis:
    """A client for RedisBudget: returns bytes, and retries once on a fresh connection.

    The script may be repeated, so a lost reply is no reason to fail; more than one retry would only
    delay an alert for a Redis that is gone. Every caller limits the total time; the client's own
    timeout would create a task for each send, and lose cancels.
    """
    return Redis.from_url(
        url, retry=Retry(NoBackoff(), 1), decode_responses=False, socket_timeout=None
    )


class RedisBudget:
    """The budget shared by all workers. Answers are charged once, whoever asks and however often.

    An emptied Redis has lost all charges and answers: it admits too much, never too little.

    Args:
        client: Made by `connect`, or another that returns bytes.
        timeout_s: For calls that name none.
        now_s: Seconds since 1970, for tests and simulated time; None uses the server's own clock,
            so that workers whose clocks differ still agree.
    """

    def __init__(
        self,
        client: Redis,
        *,
        now_s: Callable[[], float] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._client = client
        self._now_s = now_s
        self._timeout_s = timeout_s

    async def ask(
        self,
        occasion: str,
        asks: Sequence[Ask],
        limits: Limits,
        *,
        timeout_s: float | None = None,
    ) -> list[Answer]:
        """See Budget.ask. More than 1,000 citizens, or several shards, take several scripts.

        Raises:
            Unavailable: When Redis refuses the connection, is silent, still loading, full or
                read-only, or gives an answer that the script cannot give.
        """
        if not asks:
            return []
        most_severe: dict[int, int] = {}
        for ask in asks:
            kind = class_of(ask.severity)
            known = most_severe.get(ask.citizen_id)
            if known is None or kind < known:
                most_severe[ask.citizen_id] = kind
        calls = list(plan(occasion, most_severe))
        figures = pack_figures(limits, None if self._now_s is None else self._now_s())
        try:
            async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                replies = await self._run(calls, figures)
        except GONE as e:
            # TimeoutError is an OSError.
            raise Unavailable(f"The budget has no answer from Redis: {type(e).__name__}.") from e
        answers: dict[int, Answer] = {}
        for call, reply in zip(calls, replies, strict=True):
            answers.update(zip(call.citizen_ids, read_reply(reply, call), strict=True))
        return [answers[ask.citizen_id] for ask in asks]

    async def _run(self, calls: Sequence[Call], figures: bytes) -> list[object]:
        """The replies; the script is loaded into a server that does not know it."""
        if len(calls) == 1:
            return [await self._run_one(calls[0], figures)]
        async with self._client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.evalsha(_digest(), len(call.keys), *call.words(figures))
            replies = await pipe.execute(raise_on_error=False)
        for n, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                replies[n] = await self._run_one(calls[n], figures)
            elif isinstance(reply, Exception):
                raise reply
        return list(replies)

    async def _run_one(self, call: Call, figures: bytes) -> object:
        count, words = len(call.keys), call.words(figures)
        try:
            return await cast(Awaitable[object], self._client.evalsha(_digest(), count, *words))
        except NoScriptError:
            return await cast(Awaitable[object], self._client.eval(_script(), count, *words))


@cache
def _script() -> str:
    return files("alerting.throttle.budget").joinpath("budget.lua").read_text(encoding="utf-8")


@cache
def _digest() -> str:
    return hashlib.sha1(_script().encode(), usedforsecurity=False).hexdigest()

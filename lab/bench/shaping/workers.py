"""Worker processes that send to the sink, each way of keeping to the rate a gate of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import uvloop

from alerting.domain.lane import Lane
from alerting.providers.rate.contract import Rate
from alerting.providers.rate.limiter import RateLimiter
from alerting.providers.rate.redis_rates import RedisRateStore
from alerting.throttle.budget.redis_budget import connect
from lab.bench.shaping.sink import ANSWER, ASK
from lab.bench.stubs.server import for_limits

SENDER = "bench"

#: How many sends a worker has under way for each of its tenants, as a window of the deliverer.
AT_ONCE = 64


class Gate(Protocol):
    """Lets a send go, and hears what came of it."""

    async def turn(self, tenant: str) -> None: ...

    async def said(self, *, throttled: bool, retry_after_s: float | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One worker: sends for its tenants, for a given time."""

    worker: int
    workers: int
    way: str
    url: str
    port: int
    per_second: float
    tenants: tuple[int, ...]
    seconds: float


class _Shared:
    """Ours."""

    def __init__(self, pacer: RateLimiter, rate: Rate) -> None:
        self._pacer = pacer
        self._rate = rate

    async def turn(self, tenant: str) -> None:
        await self._pacer.acquire(SENDER, Lane.ROUTINE, tenant, 1, self._rate)

    async def said(self, *, throttled: bool, retry_after_s: float | None) -> None:
        await self._pacer.report(
            SENDER, self._rate, throttled=throttled, retry_after_s=retry_after_s
        )


class _Divided:
    """Every process keeps to its part of the rate by itself."""

    def __init__(self, per_second: float) -> None:
        self._interval_s = 1 / per_second
        self._next_s = 0.0

    async def turn(self, tenant: str) -> None:
        now = asyncio.get_running_loop().time()
        at = max(self._next_s, now)
        self._next_s = at + self._interval_s
        await asyncio.sleep(at - now)

    async def said(self, *, throttled: bool, retry_after_s: float | None) -> None:
        pass


class _Rejecting:
    """Asks, and asks again a little later when rejected."""

    def __init__(self, limiter: Any, item: Any) -> None:
        self._limiter = limiter
        self._item = item

    async def turn(self, tenant: str) -> None:
        while not await self._limiter.hit(self._item, SENDER):  # noqa: ASYNC110
            # Not in step with the others.
            await asyncio.sleep(random.uniform(0.01, 0.03))  # noqa: S311

    async def said(self, *, throttled: bool, retry_after_s: float | None) -> None:
        pass


@asynccontextmanager
async def _shared(job: Job) -> AsyncIterator[Gate]:
    async with connect(job.url) as client:
        pacer = RateLimiter(RedisRateStore(client, worker=str(job.worker)))
        yield _Shared(pacer, Rate(job.per_second))
        await pacer.close()


@asynccontextmanager
async def _divided(job: Job) -> AsyncIterator[Gate]:
    yield _Divided(job.per_second / job.workers)


def _rejecting(strategy: str) -> Callable[[Job], AbstractAsyncContextManager[Gate]]:
    @asynccontextmanager
    async def gate(job: Job) -> AsyncIterator[Gate]:
        from limits import RateLimitItemPerSecond
        from limits.aio import storage, strategies

        kept = storage.RedisStorage(f"async+{for_limits(job.url)}", implementation="redispy")
        limiter = getattr(strategies, strategy)(kept)
        yield _Rejecting(limiter, RateLimitItemPerSecond(round(job.per_second)))

    return gate


GATES: dict[str, Callable[[Job], AbstractAsyncContextManager[Gate]]] = {
    "shared": _shared,
    "divided": _divided,
    "fixed window": _rejecting("FixedWindowRateLimiter"),
    "moving window": _rejecting("MovingWindowRateLimiter"),
}

_Reply: TypeAlias = asyncio.Future[tuple[bool, float]]


class _Channel(asyncio.DatagramProtocol):
    """Sends, and waits for the provider's answer to each."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Reply] = {}
        self._number = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: object) -> None:
        number, good, retry_after_s = ANSWER.unpack(data)
        reply = self._waiting.pop(number, None)
        if reply is not None and not reply.done():
            reply.set_result((bool(good), retry_after_s))

    async def send(self, worker: int, tenant: int) -> tuple[bool, float]:
        self._number += 1
        reply: _Reply = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = reply
        if self._transport is not None:
            self._transport.sendto(ASK.pack(worker, tenant, self._number))
        try:
            return await asyncio.wait_for(reply, 2)
        except TimeoutError:
            return True, 0.0


def work(job: Job, begin: Any) -> None:
    """A process: make ready, wait for the others, send."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(job, begin))


async def _work(job: Job, begin: Any) -> None:
    loop = asyncio.get_running_loop()
    transport, channel = await loop.create_datagram_endpoint(
        _Channel, remote_addr=("127.0.0.1", job.port)
    )
    async with GATES[job.way](job) as gate:
        await loop.run_in_executor(None, begin.wait)
        ends_at = loop.time() + job.seconds

        async def keep_sending(tenant: int) -> None:
            while loop.time() < ends_at:
                await gate.turn(str(tenant))
                good, retry_after_s = await channel.send(job.worker, tenant)
                await gate.said(throttled=not good, retry_after_s=retry_after_s or None)

        await _until(ends_at, [keep_sending(t) for t in job.tenants for _ in range(AT_ONCE)])
    transport.close()


async def _until(ends_at: float, sending: Sequence[Any]) -> None:
    tasks = [asyncio.ensure_future(s) for s in sending]
    await asyncio.wait(tasks, timeout=ends_at - asyncio.get_running_loop().time())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""A carrier that posts status callbacks as fast as they are answered, and keeps book of it.

A process of its own on raw sockets, because what it costs is taken from what it measures: every
request is a byte string made beforehand, and of an answer only the status line is read.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple, cast
from urllib.parse import urlencode, urlsplit

import uvloop

from alerting.embedded.carriers import SANDBOX_ACCOUNT, SANDBOX_TOKEN
from alerting.embedded.carriers.callbacks import signature

#: After an answer that is none, or a connection that broke, it is tried again so soon.
_AGAIN_S = 0.05


class Callback(NamedTuple):
    """What is reported of one delivery."""

    delivery_id: int
    ref: str
    status: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """Where to post what: each is posted until it is answered with a 2xx.

    Attributes:
        url: Of the callback, as it is signed. A callback's number is its place.
    """

    url: str
    callbacks: Sequence[Callback]
    connections: int = 64

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    def requests(self) -> list[bytes]:
        return [self._request(c) for c in self.callbacks]

    def _request(self, c: Callback) -> bytes:
        url = f"{self.url}?delivery={c.delivery_id}"
        form = {
            "AccountSid": SANDBOX_ACCOUNT,
            "ApiVersion": "2010-04-01",
            "From": "+447700900000",
            "MessageSid": c.ref,
            "MessageStatus": c.status,
            "SmsSid": c.ref,
            "SmsStatus": c.status,
            "To": "+447700900123",
            "RawDlrDoneDate": "2611101200",
            **({"ErrorCode": c.code} if c.code else {}),
        }
        body = urlencode(form)
        target = url.removeprefix(f"http://127.0.0.1:{self.port}")
        return (
            f"POST {target} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.port}\r\n"
            "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
            "User-Agent: TwilioProxy/1.1\r\n"
            "Accept: */*\r\n"
            f"X-Twilio-Signature: {signature(SANDBOX_TOKEN, url, form)}\r\n"
            f"I-Twilio-Idempotency-Token: {c.ref}-{c.status}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode("ascii")


@dataclass(frozen=True, slots=True)
class Book:
    """answered: the numbers of those taken, in the order of their answers, with the instant of
    each by the machine's monotonic clock. refused: answers other than 2xx. broken: requests whose
    answer was lost with the connection. cpu_s: what the client used from its first request on."""

    answered: list[int]
    at_s: list[float]
    refused: int
    broken: int
    cpu_s: float

    def per_second(self) -> float:
        """Over the middle nine tenths, so that neither start nor end counts."""
        skip = len(self.at_s) // 20
        times = self.at_s[skip : len(self.at_s) - skip]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def longest_gap_s(self) -> float:
        """The longest time in which nothing was taken."""
        return max((b - a for a, b in zip(self.at_s, self.at_s[1:], strict=False)), default=0.0)


def post_all(job: Job, results: Connection) -> None:
    """Post everything, then send the `Book` through `results`. Meanwhile the count of those
    answered is sent fifty times a second, so that the other side can strike in the middle."""
    uvloop.run(_Client(job, results).run())


class _Client:
    def __init__(self, job: Job, results: Connection) -> None:
        self._job = job
        self._results = results
        self.requests = job.requests()
        self.waiting = deque(range(len(self.requests)))
        self.refused = self.broken = 0
        self._answered: list[int] = []
        self._at_s: list[float] = []
        self._done = asyncio.Event()

    async def run(self) -> None:
        cpu_s = time.process_time()
        connections = [
            asyncio.create_task(self._keep_connected()) for _ in range(self._job.connections)
        ]
        while not self._done.is_set():
            self._results.send(len(self._answered))
            try:
                await asyncio.wait_for(self._done.wait(), 0.02)
            except TimeoutError:
                continue
        cpu_s = time.process_time() - cpu_s
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        self._results.send(Book(self._answered, self._at_s, self.refused, self.broken, cpu_s))

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._done.is_set():
            try:
                transport, line = await loop.create_connection(
                    lambda: _Line(self), "127.0.0.1", self._job.port
                )
            except OSError:
                await asyncio.sleep(_AGAIN_S)
                continue
            try:
                await line.closed
            finally:
                transport.close()
            await asyncio.sleep(_AGAIN_S)

    def took(self, number: int) -> None:
        self._answered.append(number)
        self._at_s.append(time.monotonic())
        if len(self._answered) == len(self.requests):
            self._done.set()


class _Line(asyncio.Protocol):
    """One connection: one request under way at a time."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._number: int | None = None
        self._read = b""
        self._transport: asyncio.WriteTransport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._read = b""
        number, self._number = self._number, None
        if number is None:
            return
        if head[9:10] == b"2":
            self._client.took(number)
            self._next()
        else:
            self._client.refused += 1
            self._client.waiting.append(number)
            asyncio.get_running_loop().call_later(_AGAIN_S, self._next)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._number is not None:
            self._client.broken += 1
            self._client.waiting.append(self._number)
            self._number = None
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)

    def _next(self) -> None:
        if self._transport is None or self._number is not None:
            return
        if not self._client.waiting:
            # Another connection may still break and give its request back.
            asyncio.get_running_loop().call_later(_AGAIN_S, self._next)
            return
        self._number = self._client.waiting.popleft()
        self._transport.write(self._client.requests[self._number])


def _length(head: bytes) -> int:
    """The length of the body this answer announces."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0

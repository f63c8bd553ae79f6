"""Limits on a connection while a request arrives: time, size, and connections per network.

uvicorn itself has no timeout for an unfinished request and no limit on the size of its head.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import ip_address
from typing import Any, ClassVar

from uvicorn.middleware.proxy_headers import _TrustedHosts
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from alerting.api.rate_limits import network

#: Seconds for the head of a request, from its first byte or from connecting; and the most bytes of
#: head, trailers and chunk framing together.
HEAD_S = 10.0
HEAD_BYTES = 64_000

#: Longest pause within a body, and longest time for a whole body, in seconds.
PIECE_S = 15.0
BODY_S = 300.0

#: Most connections at once of one network.
CONNECTIONS = 256

_SLOW = b"408 Request Timeout", b"The request did not arrive in time."
_LARGE = b"431 Request Header Fields Too Large", b"The head of the request is too large."


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with timeouts and limits."""

    head_s, piece_s, body_s = HEAD_S, PIECE_S, BODY_S
    connections_each = CONNECTIONS
    _open: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._network = ""
        self._timer: asyncio.TimerHandle | None = None
        self._in_head, self._head_bytes, self._must_end_at = True, 0, 0.0
        # True when the last data received began or continued a body.
        self._went_on = False
        address = self.client[0] if self.client else ""
        if self._is_stranger(address):
            self._network = network(address)
            self._open[self._network] += 1
            if self._open[self._network] > self.connections_each:
                transport.close()
                return
        self._wait(self.head_s)

    def _is_stranger(self, address: str) -> bool:
        """True for a public address that is not a trusted proxy; only those are counted."""
        try:
            near = not ip_address(address).is_global
        except ValueError:
            near = True
        return not near and address not in _TrustedHosts(self.config.forwarded_allow_ips)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._network:
            self._open[self._network] -= 1
            if not self._open[self._network]:
                del self._open[self._network]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._went_on = False
        super().data_received(data)
        if self._in_head or not self._went_on:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._end(*_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        # A header after the head is a trailer, which nobody reads and uvicorn would keep.
        if self._in_head:
            super().on_header(name, value)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._wait(self.head_s)

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes, self._went_on = False, 0, True
        self._must_end_at = self.loop.time() + self.body_s
        self._wait(self.piece_s)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head_bytes, self._went_on = 0, True
        self._wait(min(self.piece_s, self._must_end_at - self.loop.time()))

    def on_message_complete(self) -> None:
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Bytes that begin no request cancel uvicorn's keep-alive timeout, but not this one.
        if self._timer is None and not self.pipeline:
            self._in_head, self._head_bytes = True, 0
            self._wait(self.head_s)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(max(0.0, seconds), self._end, *_SLOW)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, status: bytes, why: bytes) -> None:
        """Close the connection; answer first if a request has begun and no response has."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            # We paused reading: the delay is ours.
            self._wait(self.piece_s)
            return
        asked = self.cycle
        if self._in_head:
            answer = self._head_bytes > 0 and (asked is None or asked.response_complete)
        else:
            answer = asked is not None and not asked.response_started
        if answer:
            head = b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\n" % status
            head += b"content-length: %d\r\nconnection: close\r\n\r\n" % len(why)
            self.transport.write(head + why)
        self.transport.close()

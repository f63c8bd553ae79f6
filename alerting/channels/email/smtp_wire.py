"""An opened SMTP connection as bytes out and whole replies in, several of them at a time.

aiosmtplib opens connections: greeting, EHLO, STARTTLS, login. Its protocol then holds one reply:
of several in one packet it hands out the first and strands the others, and what comes before
`read_response` is called again is thrown away, as its docstring says. RFC 2920 sends several at
once, so from there on its transport speaks to a `Wire`.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

#: The server says goodbye and closes (RFC 5321 §3.8), whatever it was asked.
CLOSING = 421

#: A reply may not exceed this; generous over any real one. Bounds what a server can make us hold.
_MAX_REPLY_BYTES = 32_768


class Reply(NamedTuple):
    """`text` without the codes; the lines of a longer reply parted by `\\n`."""

    code: int
    text: str


def take_reply(buffer: bytearray) -> Reply | None:
    """Cut one whole reply (RFC 5321 §4.2) off the front; None while it is not whole.

    Raises ValueError for what is no reply.
    """
    start, texts = 0, []
    while (end := buffer.find(b"\n", start)) >= 0:
        line = bytes(buffer[start:end])
        code, start = line[:3], end + 1
        if len(code) < 3 or not code.isdigit():
            raise ValueError("A reply begins with three digits.")
        texts.append(line[4:].strip())
        if line[3:4] != b"-":
            del buffer[:start]
            # The text is for reading codes out of; bytes that are no UTF-8 must not end a send.
            return Reply(int(code), b"\n".join(texts).decode("utf-8", "surrogateescape"))
    return None


class Wire(asyncio.Protocol):
    """Asks one thing at a time, which may be several commands with a reply to each.

    A connection on which anything is out of order is closed, never repaired: a reply taken for
    another command's would tell a citizen's fate wrongly.
    """

    def __init__(self, transport: asyncio.Transport, *, timeout_s: float) -> None:
        """Take `transport` over from the protocol it had, which must await nothing."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._timeout_s = timeout_s
        self._buffer = bytearray()
        self._replies: list[Reply] = []
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        transport.set_protocol(self)

    @property
    def open(self) -> bool:
        """Whether anything can be said, as far as is known here."""
        return not self._closed and not self._transport.is_closing()

    async def ask(self, said: bytes, replies: int = 1) -> list[Reply]:
        """Say complete lines and await `replies` replies, each `timeout_s` after the one before.

        Fewer come where the connection ended, stayed silent, said 421 (then that is the last) or
        something that is no SMTP: it is closed then. None come, and nothing is said, where it was
        closed before. Cancelled, the caller has to close: replies may still be on their way.
        """
        if not self.open:
            return []
        self._replies, self._wanted = [], replies
        self._waiter = self._loop.create_future()
        # One timer for many steps: it looks when it rings whether the deadline has moved on.
        self._deadline = self._loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        self._transport.write(said)
        try:
            await self._waiter
        finally:
            self._waiter = None
        return self._replies

    def close(self) -> None:
        """End the connection; whoever waits gets what has come."""
        self._closed = True
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            # Unasked for: a goodbye, or one reply too many, which the next would be taken for.
            self.close()
            return
        self._buffer += data
        try:
            while len(self._replies) < self._wanted:
                reply = take_reply(self._buffer)
                if reply is None:
                    break
                self._replies.append(reply)
                if reply.code == CLOSING:
                    self.close()
                    return
                self._deadline = self._loop.time() + self._timeout_s
        except ValueError:
            self.close()
            return
        whole = len(self._replies) == self._wanted
        if len(self._buffer) > (0 if whole else _MAX_REPLY_BYTES):
            self.close()
        elif whole:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None:
            return  # nothing is awaited; the next question sets it anew
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self.close()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

"""Held SMTP connections: one mail at a time on each, mended when they break.

aiosmtplib opens them. A mail costs two round trips (four where the relay cannot pipeline); opening
a connection for each would cost as many again and a TLS handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import aiosmtplib

from alerting.channels.email.smtp_conversation import Answer, Offers, deliver
from alerting.channels.email.smtp_wire import Wire

#: An idle connection may have been dropped by a firewall without a word; asked after this long.
IDLE_CHECK_S = 30.0
_NOOP_TIMEOUT_S = 5.0
_QUIT_TIMEOUT_S = 2.0
_DONE = 250

# Everything aiosmtplib lets through when a peer or the way to it fails. ssl's errors are OSErrors.
CONNECTION_ERRORS = (aiosmtplib.SMTPException, OSError, TimeoutError, EOFError)


class UnspeakableError(Exception):
    """The address needs SMTPUTF8 and the relay has none; nothing was sent."""


class Connection:
    """One connection to the relay, opened when first needed and again whenever it is gone."""

    def __init__(self, make: Callable[[], aiosmtplib.SMTP], *, timeout_s: float) -> None:
        self._make = make
        self._timeout_s = timeout_s
        self._wire: Wire | None = None
        self._offers = Offers()
        self._used_at = 0.0

    async def deliver(self, *, sender: str, to: str, mail: bytes) -> Answer:
        """Say one mail (`smtp_conversation.deliver`) on a connection that works.

        A held one may have been closed while idle, or be at the server's limit of mails; nothing
        has been handed over yet, so one new connection is tried at once.

        Raises CONNECTION_ERRORS when none can be opened, UnspeakableError for an address this
        relay cannot be told.
        """
        held = await self._held()
        if held is not None:
            answer = await self._say(held, sender, to, mail)
            if not answer.unheard:
                return answer
        return await self._say(await self._open(), sender, to, mail)

    async def _say(self, wire: Wire, sender: str, to: str, mail: bytes) -> Answer:
        if not to.isascii() and not self._offers.smtputf8:
            raise UnspeakableError
        return await deliver(wire, self._offers, sender=sender, to=to, mail=mail)

    async def _open(self) -> Wire:
        self.drop()
        client = self._make()
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()  # else nobody knows what the server offers
        except BaseException:
            client.close()
            raise
        if client.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        has = client.supports_extension
        self._offers = Offers(has("pipelining"), size=has("size"), smtputf8=has("smtputf8"))
        # Its client ends here: it would tell of one reply at a time, and lose others.
        transport = cast(asyncio.Transport, client.transport)
        self._wire = wire = Wire(transport, timeout_s=self._timeout_s)
        return wire

    async def _held(self) -> Wire | None:
        """The connection the last mail went on, where it seems to work still."""
        wire = self._wire
        if wire is None or not wire.open:
            return None
        if time.monotonic() - self._used_at < IDLE_CHECK_S:
            return wire
        answer = await self._asked(wire, b"NOOP\r\n", _NOOP_TIMEOUT_S)
        return wire if answer == _DONE else None

    async def _asked(self, wire: Wire, command: bytes, timeout_s: float) -> int | None:
        """The code of the reply to one command; None, and closed, when it does not come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                if replies := await wire.ask(command):
                    return replies[0].code
        wire.close()
        return None

    def used(self) -> None:
        self._used_at = time.monotonic()

    def drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def quit(self) -> None:
        """Say goodbye and close."""
        if self._wire is not None and self._wire.open:
            await self._asked(self._wire, b"QUIT\r\n", _QUIT_TIMEOUT_S)
        self.drop()


def client(
    *,
    host: str,
    port: int,
    tls: str,
    username: str,
    password: str,
    timeout_s: float,
    local_hostname: str,
    tls_context: ssl.SSLContext | None,
) -> aiosmtplib.SMTP:
    """What dials the relay: its `connect` also starts TLS and logs in, as far as we are set to."""
    return aiosmtplib.SMTP(
        hostname=host,
        port=port,
        username=username or None,
        password=password or None,
        local_hostname=local_hostname,
        timeout=timeout_s,
        use_tls=tls == "implicit",
        # Never None: that would fall back to plain text when the offer is stripped.
        start_tls=tls == "starttls",
        tls_context=tls_context,
    )


class SmtpPool:
    """Lends up to `connections` connections; waiters queue.

    The last one given back is lent first, so that under light load few stay open and warm.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        tls: str,
        username: str,
        password: str,
        connections: int,
        timeout_s: float,
        local_hostname: str,
        tls_context: ssl.SSLContext | None,
    ) -> None:
        def make() -> aiosmtplib.SMTP:
            return client(
                host=host,
                port=port,
                tls=tls,
                username=username,
                password=password,
                timeout_s=timeout_s,
                local_hostname=local_hostname,
                tls_context=tls_context,
            )

        self._all = [Connection(make, timeout_s=timeout_s) for _ in range(connections)]
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in reversed(self._all):
            self._free.put_nowait(connection)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """One connection for one mail. Left by an exception, its state is unknown: dropped."""
        connection = await self._free.get()
        try:
            yield connection
        except BaseException:
            connection.drop()
            raise
        finally:
            connection.used()
            self._free.put_nowait(connection)

    async def close(self) -> None:
        """Say goodbye on every open connection."""
        await asyncio.gather(*(c.quit() for c in self._all))

"""Held SMTP connections: one mail at a time on each, mended when they break.

Built on aiosmtplib, whose conversation is sequential. A mail costs four round trips; opening a
connection for each would cost twice that and a TLS handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiosmtplib

#: An idle connection may have been dropped by a firewall without a word; asked after this long.
IDLE_CHECK_S = 30.0
_NOOP_TIMEOUT_S = 5.0
_QUIT_TIMEOUT_S = 2.0

# Everything aiosmtplib lets through when a peer or the way to it fails. ssl's errors are OSErrors.
CONNECTION_ERRORS = (aiosmtplib.SMTPException, OSError, TimeoutError, EOFError)


class BrokenInBodyError(Exception):
    """The connection ended, or stayed silent, after the text was handed over."""


class Connection:
    """One connection to the relay, opened when first needed and again whenever it is gone."""

    def __init__(self, make: Callable[[], aiosmtplib.SMTP], *, timeout_s: float) -> None:
        self._make = make
        self._timeout_s = timeout_s
        self._client: aiosmtplib.SMTP | None = None
        self._used_at = 0.0
        #: False for a connection that has already carried a mail: it may have gone stale.
        self.fresh = True

    async def ready(self, *, anew: bool = False) -> aiosmtplib.SMTP:
        """A client whose server answers; opened `anew` or where the old one is gone.

        Raises CONNECTION_ERRORS when none can be opened.
        """
        if anew or not await self._alive():
            self.drop()
            client = self._make()
            try:
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()  # else nobody knows what the server offers
            except BaseException:
                client.close()
                raise
            self._client, self.fresh = client, True
        if self._client is None:  # pragma: no cover - `_alive` said it is there
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        return self._client

    async def _alive(self) -> bool:
        client = self._client
        if client is None or not client.is_connected:
            return False
        if time.monotonic() - self._used_at < IDLE_CHECK_S:
            return True
        try:
            await client.noop(timeout=_NOOP_TIMEOUT_S)
        except CONNECTION_ERRORS:
            return False
        return True

    async def hand_over(self, mail: bytes) -> aiosmtplib.SMTPResponse:
        """Send the text after MAIL and RCPT; the server's last reply.

        aiosmtplib's own `data` cannot tell a break before the text was asked for, which is safe
        to try again, from one after it, which may have delivered it. Hence the two steps.

        Raises SMTPDataError when the server does not ask for the text, CONNECTION_ERRORS when the
        connection ends before that, BrokenInBodyError when it does after.
        """
        client = self._client
        if client is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        start = await client.execute_command(b"DATA")
        if start.code != aiosmtplib.SMTPStatus.start_input:
            raise aiosmtplib.SMTPDataError(start.code, start.message)
        protocol = client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        # RFC 5321 §4.5.2: a line that begins with a dot gets a second one.
        protocol.write(mail.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        try:
            return await protocol.read_response(timeout=self._timeout_s)
        except CONNECTION_ERRORS as e:
            self.drop()
            raise BrokenInBodyError from e

    async def reset(self) -> None:
        """Make the server forget a half-said envelope; drop the connection if it cannot."""
        client = self._client
        if client is None or not client.is_connected:
            return
        try:
            await client.rset()
        except CONNECTION_ERRORS:
            self.drop()

    def used(self) -> None:
        self._used_at, self.fresh = time.monotonic(), False

    def drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def quit(self) -> None:
        client = self._client
        if client is not None and client.is_connected:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await client.quit(timeout=_QUIT_TIMEOUT_S)
        self.drop()


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

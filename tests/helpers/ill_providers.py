"""Providers that can be made ill: a channel told what to do, and a mail relay on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from alerting.channels.base import Outcome, Outgoing, Rendering
from alerting.channels.email.smtp_email import SmtpConfig, SmtpEmail
from alerting.channels.spec import Provider
from alerting.domain.lane import Lane


@dataclass
class Scripted:
    """A channel that answers as `answer` says, once `free` is set."""

    name: str = "sms"
    concurrency: int = 64
    can_be_silent: bool = False
    answer: Callable[[Outgoing], Outcome] = lambda m: Outcome(m.delivery_id, provider_ref="ok")
    asked: list[Outgoing] = field(default_factory=list)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.free.set()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def send(self, message: Outgoing) -> Outcome:
        self.asked.append(message)
        await self.free.wait()
        return self.answer(message)


class Relay:
    """A mail server that can fall ill at any step: `greeting`, `mail`, `rcpt`, `data` or `body`.

    There it says `reply`, hangs up where that is empty, or never says anything where it is None.
    """

    def __init__(self, step: str = "", reply: str | None = "") -> None:
        self.step = step
        self.reply = reply
        self.bodies: list[bytes] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not await self._say(writer, "greeting", "220 here"):
                return
            while line := (await reader.readline()).decode().upper():
                if line.startswith("DATA"):
                    if not await self._say(writer, "data", "354 go on"):
                        return
                    if self.step == "data":
                        continue
                    self.bodies.append(await reader.readuntil(b"\r\n.\r\n"))
                    if not await self._say(writer, "body", "250 queued as A1B2C3"):
                        return
                    continue
                step = {"MAIL": "mail", "RCPT": "rcpt"}.get(line[:4], "")
                if not await self._say(writer, step, "250 yes"):
                    return
                if line.startswith("QUIT"):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, step: str, reply: str) -> bool:
        if self.step and step == self.step:
            if self.reply is None:
                await asyncio.Event().wait()
            if not self.reply:
                return False
            reply = self.reply or ""
        writer.write(f"{reply}\r\n".encode())
        await writer.drain()
        return True


@asynccontextmanager
async def relays(*several: Relay, timeout_s: float = 60) -> AsyncIterator[list[Provider]]:
    """The relays as providers, the preferred first."""
    if not several:
        yield []
        return
    first, *others = several
    async with first.listening():
        channel = SmtpEmail(
            SmtpConfig(
                host="127.0.0.1", port=first.port, tls="none", connections=4, timeout_s=timeout_s
            )
        )
        await channel.open()
        try:
            async with relays(*others, timeout_s=timeout_s) as rest:
                made = [Provider("", channel), *rest]
                yield [Provider(f"email.{n}", p.channel) for n, p in enumerate(made, 1)]
        finally:
            await channel.close()


def message(
    n: int, lane: Lane = Lane.SEVERE, *, channel: str = "sms", endpoint: str = ""
) -> Outgoing:
    return Outgoing(
        delivery_id=n,
        endpoint=endpoint or f"c{n}@example.org",
        rendering=Rendering(channel, "en", "Flood", "Go uphill now.", "<p>Go uphill now.</p>"),
        lane=lane,
        thread="t",
        unsubscribe_token="t",
    )

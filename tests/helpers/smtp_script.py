"""An SMTP server on a real socket (aiosmtpd) that answers each stage as a test scripts it."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult
from loop_clock import put_forward

#: The connection is reset instead of an answer.
DROP = "drop"
#: The command is read, and nothing is ever answered again.
SILENCE = "silence"
#: Whether servers offer PIPELINING; a test may set it.
PIPELINING = True


@dataclass
class Mail:
    sender: str
    recipients: list[str]
    content: bytes
    connection: int

    @property
    def parsed(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        assert not [defect for part in parsed.walk() for defect in part.defects]
        return parsed

    def text(self, kind: str) -> str:
        """The `plain` or `html` body with the line ends and without the end of a text file."""
        body = self.parsed.get_body((kind,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n").rstrip()


@dataclass
class ScriptedServer:
    """`script[stage]` holds the next answers of greeting, ehlo, noop, mail, rcpt, data, body."""

    script: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    mails: list[Mail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    sessions: list[_Session] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    #: What came in one piece.
    flights: list[bytes] = field(default_factory=list)
    #: Whether PIPELINING is offered, by whether TLS is spoken.
    pipelining: Callable[[bool], bool] = lambda _tls: PIPELINING
    port: int = 0
    #: Set once a command has been left without its answer.
    fell_silent: asyncio.Event = field(default_factory=asyncio.Event)
    #: How far the clock is put forward then.
    silence_s: float = 0.0

    def say(self, stage: str, *answers: str) -> None:
        self.script[stage].extend(answers)

    def fall_silent(self) -> None:
        self.fell_silent.set()
        # Once the client has begun to wait.
        asyncio.get_running_loop().call_later(0.05, put_forward, self.silence_s)

    @property
    def pipelined(self) -> bool:
        """Whether an envelope came in one flight."""
        return any(f.startswith(b"MAIL") and f.endswith(b"\r\nDATA\r\n") for f in self.flights)

    @property
    def open_now(self) -> int:
        return sum(s.transport is not None and not s.transport.is_closing() for s in self.sessions)

    def drop_all(self) -> None:
        for session in self.sessions:
            # Before Python 3.11.4 one of TLS that has ended cannot be told to.
            if session.transport is not None and not session.transport.is_closing():
                session.transport.abort()

    async def handle_EHLO(  # noqa: N802
        self, server: _Session, session: Any, _: object, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        offered = ["250-PIPELINING"] if self.pipelining(server.over_tls) else []
        return responses[:1] + offered + responses[1:]

    async def handle_DATA(self, _: object, session: object, envelope: Any) -> str:  # noqa: N802
        connection = next(i for i, s in enumerate(self.sessions) if s.session is session)
        answers = self.script["body"]
        answer = answers.popleft() if answers else "250 2.0.0 Ok: queued as 4XyZ0123"
        self.mails.append(
            Mail(envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content, connection)
        )
        if answer == DROP:
            self.sessions[connection].transport.abort()
        if answer == SILENCE:
            self.fall_silent()
        if answer in (DROP, SILENCE):
            await asyncio.Event().wait()
        return answer


class _Session(SMTP):
    def __init__(self, server: ScriptedServer) -> None:
        super().__init__(
            server, hostname="mx.example.org", loop=asyncio.get_running_loop(), **server.options
        )
        self._server = server
        self._greeted = False
        self._mute = False
        server.sessions.append(self)

    @property
    def over_tls(self) -> bool:
        return bool(self._tls_protocol)

    def data_received(self, data: bytes) -> None:
        self._server.flights.append(data)
        super().data_received(data)

    async def push(self, status: Any) -> None:
        if self._mute:
            return
        if not self._greeted:
            self._greeted = True
            if await self._scripted("greeting"):
                return
        if self.transport is not None and not self.transport.is_closing():
            await super().push(status)

    async def _scripted(self, stage: str) -> bool:
        self._server.commands.append(stage)
        answers = self._server.script[stage]
        if not answers:
            return False
        answer = answers.popleft()
        if answer == DROP:
            self.transport.abort()
        elif answer == SILENCE:
            self._mute = True
            self._server.fall_silent()
        else:
            await super().push(answer)
            if answer.startswith("421"):
                self.transport.close()
        return True

    async def smtp_EHLO(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("ehlo"):
            await super().smtp_EHLO(arg)

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("noop"):
            await super().smtp_NOOP(arg)

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("rset"):
            await super().smtp_RSET(arg)

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("mail"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("rcpt"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if not await self._scripted("data"):
            await super().smtp_DATA(arg)


def password_is(expected: str) -> Any:
    """An authenticator that knows one password."""

    def check(_server: object, _session: object, _envelope: object, _how: str, data: Any) -> Any:
        # `handled` is False where the library itself should answer 535.
        return AuthResult(success=data.password == expected.encode(), handled=False)

    return check


@asynccontextmanager
async def smtp_server(
    *, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer(options=options)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Session(server), "127.0.0.1", 0, ssl=implicit_tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.drop_all()
        tasks = [s._handler_coroutine for s in server.sessions if s._handler_coroutine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()

"""Starts and stops the carriers: one process, one event loop, one HTTP and one SMTP socket."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakSet

import uvloop
from aiohttp import web
from aiosmtpd.smtp import SMTP

from alerting.embedded.carriers import identity
from alerting.embedded.carriers.bounces import Bounces
from alerting.embedded.carriers.callbacks import Callbacks
from alerting.embedded.carriers.intake import Intake, opened
from alerting.embedded.carriers.journal import read_log
from alerting.embedded.carriers.mail import MailHandler
from alerting.embedded.carriers.messages import Messages
from alerting.embedded.carriers.sandbox import Sandbox
from alerting.embedded.carriers.twilio import TwilioApi
from alerting.embedded.carriers.webpush import PushService
from alerting.errors import BadInput
from alerting.observe.logs import logger
from alerting.settings import Settings

log = logger(__name__)

#: How much of the SMS log is read at a start, so that earlier messages can be looked up.
_RESTORED_BYTES = 16_000_000
_MAIL_BYTES = 10_000_000
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Where:
    """What the carriers listen on."""

    http_url: str
    smtp_host: str
    smtp_port: int


def run(settings: Settings) -> None:
    """See `alerting.embedded.carriers.run`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(settings))


async def _until_told(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    async with serving(settings) as where:
        log.info(
            "carriers.ready",
            phones=f"{where.http_url}/sandbox",
            smtp=f"{where.smtp_host}:{where.smtp_port}",
        )
        await stop.wait()
    log.info("carriers.stopped")


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Where]:
    """The carriers answer inside the block. A port of 0 takes a free one.

    Left, they finish what they have taken, and drop the callbacks that wait.

    Raises:
        BadInput: When a port is taken or the logs cannot be written.
    """
    async with AsyncExitStack() as stack:
        # The ports first: whoever has them also has the logs.
        http = stack.enter_context(
            _bound(settings.host, settings.sandbox_port, "ALERTING_SANDBOX_PORT")
        )
        smtp = stack.enter_context(
            _bound(settings.host, settings.sandbox_smtp_port, "ALERTING_SANDBOX_SMTP_PORT")
        )
        intake = await stack.enter_async_context(opened(settings.var))
        callbacks = Callbacks(identity.SANDBOX_ACCOUNT, identity.SANDBOX_TOKEN, intake.desk)
        await callbacks.open()
        stack.push_async_callback(callbacks.close)
        bounces = Bounces(settings.bounce_host, settings.bounce_port, intake.desk)
        stack.push_async_callback(bounces.close)
        await _serve_http(stack, http, _app(stack, settings, intake, callbacks))
        await _serve_smtp(stack, smtp, intake, bounces)
        host = settings.local_host
        yield Where(f"http://{host}:{http.getsockname()[1]}", host, smtp.getsockname()[1])


def _app(
    stack: AsyncExitStack, settings: Settings, intake: Intake, callbacks: Callbacks
) -> web.Application:
    messages = Messages()
    messages.restore(read_log(settings.var, "sms", last_bytes=_RESTORED_BYTES))
    api = TwilioApi(identity.SANDBOX_ACCOUNT, identity.SANDBOX_TOKEN, intake, messages, callbacks)
    sandbox = Sandbox(intake, callbacks)
    app = web.Application()
    for part in (api, PushService(identity.PUSH_SEED, intake), sandbox):
        app.add_routes(part.routes())

    async def release(_app: web.Application) -> None:
        sandbox.stop()

    app.on_shutdown.append(release)
    return app


async def _serve_http(stack: AsyncExitStack, bound: socket.socket, app: web.Application) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5, keepalive_timeout=300)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.SockSite(runner, bound, backlog=_BACKLOG).start()


async def _serve_smtp(
    stack: AsyncExitStack, bound: socket.socket, intake: Intake, bounces: Bounces
) -> None:
    loop = asyncio.get_running_loop()
    handler = MailHandler(intake, bounces)
    sessions: WeakSet[SMTP] = WeakSet()

    def session() -> SMTP:
        made = SMTP(
            handler,
            # Named, or each connection would look the machine's name up in the DNS.
            hostname="sandbox.example.org",
            ident="sandbox carriers",
            enable_SMTPUTF8=True,
            data_size_limit=_MAIL_BYTES,
            loop=loop,
        )
        sessions.add(made)
        return made

    server = await loop.create_server(session, sock=bound, backlog=_BACKLOG)

    async def close() -> None:
        server.close()
        await handler.settled()
        for open_session in list(sessions):
            if open_session.transport is not None:
                open_session.transport.close()

    stack.push_async_callback(close)


def _bound(host: str, port: int, setting: str) -> socket.socket:
    """A socket that has the port.

    Raises:
        BadInput: When it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        # Listening at once, because two sockets may be bound to a port until one listens.
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError as e:
        bound.close()
        raise BadInput(
            f"Port {port} on {host} cannot be used: {e.strerror}.",
            remedy=f"Stop what listens there, or set {setting} to another port.",
        ) from e
    return bound

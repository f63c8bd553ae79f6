"""`alerting up`: engines, carriers, API, workers and scheduler under one supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import aiohttp
import click

from alerting.addresses import database_url
from alerting.domain.principal import RIGHTS
from alerting.embedded import engines
from alerting.embedded.carriers import run
from alerting.embedded.folders import UMASK
from alerting.embedded.processes import processes
from alerting.embedded.supervisor import Supervisor
from alerting.errors import BadInput, Unavailable
from alerting.observe.logs import configure
from alerting.settings import Settings, settings
from alerting.start import require_fit
from alerting.store.admin import stored_people
from alerting.store.db import Database
from alerting.store.migrate import migrate


@click.command()
def carriers() -> int:
    """Run the stand-in SMS, mail and push carriers until Ctrl-C."""
    config = settings()
    configure(config.log_level, config.log_format)
    run(config)
    return 0


#: How long everything may take to become ready after a start.
READY_S = 60.0

#: The person created when there is none.
OPERATOR = "operator"


@click.command()
def up() -> int:
    """Run everything until Ctrl-C: engines, sandbox carriers, API, workers, scheduler."""
    config = settings()
    configure(config.log_level, config.log_format)
    require_fit(config)
    # Everything it and its children write is for this account only.
    os.umask(UMASK)
    asyncio.run(_up(config))
    return 0


async def _up(config: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    async with running(config):
        await _first_person(config)
        where = f"API {config.public_url}/docs"
        if config.carriers == "sandbox":
            where += f"   phones {phones_url(config)}"
        click.echo(f"Ready.   {where}   (Ctrl-C ends it)", err=True)
        await stop.wait()
        click.echo("Stopping.", err=True)


async def _first_person(config: Settings) -> None:
    """Make the user who starts the system a person with every right, if there is no person yet."""
    uid = os.getuid()
    db = Database(database_url(config))
    try:
        async with db.begin() as connection:
            if await stored_people.anybody(connection):
                return
            await stored_people.add(
                connection, OPERATOR, by=None, rights=RIGHTS, senders=("*",), uid=uid
            )
    finally:
        await db.close()
    click.echo(
        f"Nobody could act yet: your account (uid {uid}) is now the person {OPERATOR!r}, with "
        "every right. `alerting people` adds others.",
        err=True,
    )


def phones_url(config: Settings) -> str:
    """The sandbox's page with the phones."""
    return f"http://{config.local_host}:{config.sandbox_port}/sandbox"


@asynccontextmanager
async def running(config: Settings, *, quiet: bool = False) -> AsyncIterator[Supervisor]:
    """Start everything, run the block when it is ready, and stop everything, engines last.

    Raises:
        BadInput: Before anything starts, when a port is taken, another process uses the folder or
        an
            engine is not installed.
        Unavailable: When something does not become ready.
    """
    engines.require(with_postgres=config.embedded_database, with_redis=config.embedded_redis)
    _check_ports(config)
    with ExitStack() as stack:
        database_url, redis_url = config.database_url, config.redis_url
        if config.embedded_database or config.embedded_redis:
            started = stack.enter_context(
                engines.start(
                    config.var,
                    with_postgres=config.embedded_database,
                    with_redis=config.embedded_redis,
                )
            )
            stack.enter_context(started.kept())
            database_url = database_url or started.database_url
            redis_url = redis_url or started.redis_url
        else:
            stack.callback(engines.take(config.var).close)
        await asyncio.to_thread(migrate, database_url)
        specs = processes(config, database_url, redis_url)
        async with Supervisor(specs, quiet=quiet) as supervisor:
            await _ready(config)
            yield supervisor


def _check_ports(config: Settings) -> None:
    ports = {"ALERTING_PORT": config.port}
    if config.carriers == "sandbox":
        ports |= {
            "ALERTING_SANDBOX_PORT": config.sandbox_port,
            "ALERTING_SANDBOX_SMTP_PORT": config.sandbox_smtp_port,
        }
    for name, port in ports.items():
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((config.host, port))
            except OSError as e:
                raise BadInput(
                    f"Port {port} on {config.host} cannot be used: {e.strerror}.",
                    remedy=f"Stop what listens there, or set {name} to another port.",
                ) from e


async def _ready(config: Settings) -> None:
    waiting = {f"http://{config.local_host}:{config.port}/readyz"}
    if config.carriers == "sandbox":
        waiting.add(f"http://{config.local_host}:{config.sandbox_port}/sandbox/healthz")
    timeout = aiohttp.ClientTimeout(total=2)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            async with asyncio.timeout(READY_S):
                for url in waiting:
                    # Another process's readiness raises no event here: it has to be polled.
                    while not await _answers(session, url):  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
        except TimeoutError as e:
            raise Unavailable(
                f"Waited {READY_S:g} s in vain for {url}.", remedy="The lines above say why."
            ) from e


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False

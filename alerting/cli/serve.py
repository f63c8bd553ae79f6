"""`alerting serve` and `alerting scheduler`: the processes a supervisor or a container runs."""

from __future__ import annotations

import asyncio
import signal
import socket

import click
import uvicorn
import uvloop

from alerting.api import create_app
from alerting.bootstrap import Runtime
from alerting.citizen import router as citizen_pages
from alerting.errors import AlertingError, BadInput
from alerting.observe.logs import configure, logger
from alerting.settings import Settings, settings

log = logger(__name__)


@click.command()
def serve() -> int:
    """Serve the REST API and the citizens' pages."""
    config = settings()
    configure(config.log_level, config.log_format)
    listener = _listen(config)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config, citizen_pages),
            loop="uvloop",
            http="httptools",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    )
    with listener:
        server.run(sockets=[listener])
    return 0 if server.started else 1


@click.command()
def scheduler() -> int:
    """Keep house every second: receipts, digests, expiry, alerts whose last worker died."""
    config = settings()
    configure(config.log_level, config.log_format)
    uvloop.run(_keep_house(config))
    return 0


def _listen(config: Settings) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as e:
        listener.close()
        raise BadInput(
            f"Port {config.port} on {config.host} cannot be used: {e.strerror}.",
            remedy="Stop what listens there, or set ALERTING_PORT to another port.",
        ) from e
    return listener


async def _keep_house(config: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    async with Runtime.open(config) as runtime:
        house = runtime.house()
        while not stop.is_set():
            try:
                await house.keep()
            except AlertingError as e:
                log.warning("house.failed", error=e.detail)
            except Exception:
                log.exception("house.failed")
            try:
                await asyncio.wait_for(stop.wait(), config.sweep_extreme_s)
            except TimeoutError:
                continue

"""`alerting serve` and `alerting scheduler`: the processes a supervisor or a container runs."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click
import uvicorn
import uvloop
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.addresses import database_url
from alerting.api import create_app
from alerting.api.connections import BoundedProtocol
from alerting.audience.stop_list import StopList
from alerting.background import background_task
from alerting.bootstrap import Runtime
from alerting.citizen import router as citizen_pages
from alerting.cli.common import listen
from alerting.cli.transaction import do
from alerting.errors import BadInput
from alerting.observe.exporter import exported
from alerting.observe.logs import configure, logger
from alerting.observe.metrics import duty, watch_pool
from alerting.settings import Settings, settings
from alerting.start import require_fit
from alerting.store.db import AWAY, raw
from alerting.store.revision import refuse_older
from alerting.store.work.presence import SCHEDULER, Presence

log = logger(__name__)

#: Further connections are answered 503: each takes memory and a file descriptor.
_CONNECTIONS = 4_000

#: How often the scheduler prunes, and when it retries after losing PostgreSQL.
_DAY_S = 86_400.0
_AGAIN_S = 600.0


@click.command()
def serve() -> int:
    """Serve the REST API and the citizens' pages."""
    config = settings()
    configure(config.log_level, config.log_format)
    require_fit(config)
    listener = listen(config.host, config.port, "ALERTING_PORT")
    do(_fits)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config, citizen_pages),
            loop="uvloop",
            http=BoundedProtocol,
            ws="none",
            limit_concurrency=_CONNECTIONS,
            forwarded_allow_ips=config.trusted_proxies,
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
    """Run maintenance every second: receipts, digests, expiry, alerts whose last worker died.

    Once a day it deletes what is older than ALERTING_RETENTION_DAYS.
    """
    config = settings()
    configure(config.log_level, config.log_format)
    require_fit(config)
    uvloop.run(_run_maintenance(config))
    return 0


async def _fits(connection: AsyncConnection) -> None:
    """Raise Unavailable with a readable message; uvicorn would print a traceback."""
    await refuse_older(await raw(connection))


async def _run_maintenance(config: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    with exported(config.metrics_host, config.metrics_port):
        async with (
            Runtime.open(config) as runtime,
            Presence(database_url(config), [SCHEDULER]).shown(),
            runtime.maintenance().running(),
            background_task(_keep_pruned(runtime, config.retention_days)),
            background_task(_keep_stop_list(runtime, config.stop_list)),
        ):
            watch_pool(lambda: runtime.db.pool)
            await stop.wait()


async def _keep_pruned(runtime: Runtime, days: int) -> None:
    """Prune when the scheduler starts and once a day; of several schedulers one at a time."""
    while days:
        wait_s = _DAY_S
        try:
            with duty("prune") as run:
                done = await runtime.pruner().run(days, actor="scheduler")
                run.done()
            log.info("ledger.pruned", events=len(done.events), deliveries=done.deliveries)
        except AWAY as e:
            log.warning("prune.failed", error=type(e).__name__)
            wait_s = _AGAIN_S
        except Exception:
            log.exception("prune.failed")
        await asyncio.sleep(wait_s)


async def _keep_stop_list(runtime: Runtime, path: str) -> None:
    """Write the stop list, at most a second after somebody unsubscribes."""
    if not path:
        return
    stop_list = StopList(runtime.db, Path(path))
    while True:
        try:
            with duty("stop-list") as run:
                await stop_list.write()
                run.done()
        except AWAY as e:
            log.warning("stop_list.failed", error=type(e).__name__)
        except (OSError, BadInput) as e:
            log.warning("stop_list.failed", error=str(e))
        await asyncio.sleep(1)

"""`alerting bounces`: the two ways in which a mail server passes us bounced mails."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import click

from alerting.addresses import database_url
from alerting.channels.email.bounce_report import MAX_BYTES
from alerting.cli.common import listen
from alerting.dispatch.bounce_intake import receipt_of, return_addresses
from alerting.observe.logs import configure, logger
from alerting.settings import Settings, settings
from alerting.store.db import Database
from alerting.store.ledger.receipt_intake import Intake

log = logger(__name__)

# sysexits.h, which Postfix's pipe(8) reads.
_NO_USER = 67
_TRY_AGAIN = 75


@click.group()
def bounces() -> None:
    """Accept bounced mails of the bounce domain and store them as receipts."""


@bounces.command()
def serve() -> int:
    """Accept bounces by SMTP on ALERTING_BOUNCE_HOST and ALERTING_BOUNCE_PORT until Ctrl-C.

    Have the mail server of the bounce domain forward its mail here. Only our own return addresses
    are accepted.
    """
    config = settings()
    configure(config.log_level, config.log_format)
    import uvloop

    with listen(config.bounce_host, config.bounce_port, "ALERTING_BOUNCE_PORT") as listener:
        uvloop.run(_serve(config, listener))
    return 0


@bounces.command()
@click.argument("recipient")
def pipe(recipient: str) -> int:
    """Read one mail to RECIPIENT, the envelope's, from standard input.

    For Postfix's pipe transport: the exit code is 0 once it is stored, 67 when the address is not
    one of ours, 75 to try again later.
    """
    config = settings()
    configure(config.log_level, config.log_format)
    try:
        return asyncio.run(_pipe(config, recipient, sys.stdin.buffer.read(MAX_BYTES)))
    except Exception as e:  # whatever happened, the mail server must keep the mail
        log.warning("bounce.not_kept", error=type(e).__name__)
        return _TRY_AGAIN


async def _serve(config: Settings, listener: socket.socket) -> None:
    # The pipe runs once for each mail and needs no server.
    from alerting.dispatch.bounce_server import receiving

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    db = Database(database_url(config))
    try:
        verp = await return_addresses(db, config.mail_bounce_domain)
        async with receiving(listener, Intake(db), verp):
            host, port = listener.getsockname()[:2]
            log.info("bounces.ready", host=host, port=port, domain=config.mail_bounce_domain)
            await stop.wait()
    finally:
        await db.close()


async def _pipe(config: Settings, recipient: str, mail: bytes) -> int:
    db = Database(database_url(config))
    try:
        verp = await return_addresses(db, config.mail_bounce_domain)
        delivery_id = verp.delivery_id(recipient)
        if delivery_id is None:
            return _NO_USER
        await Intake(db).keep(receipt_of(delivery_id, mail))
        return 0
    finally:
        await db.close()

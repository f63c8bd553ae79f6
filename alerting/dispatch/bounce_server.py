"""An SMTP server for bounces: it accepts mail to our return addresses and nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakSet

from aiosmtpd.smtp import SMTP, Envelope, Session

from alerting.channels.email import bounce_report as bounces
from alerting.channels.email.verp import Verp
from alerting.dispatch.bounce_intake import receipt_of
from alerting.observe.logs import logger
from alerting.store.ledger.receipt_intake import Intake

log = logger(__name__)

_BACKLOG = 256
#: Recipients of one mail: a bounce has one.
_RECIPIENTS = 50


class _Receiver:
    """aiosmtpd calls these. Its hooks' names are given; each returns the reply."""

    def __init__(self, intake: Intake, verp: Verp) -> None:
        self._intake = intake
        self._verp = verp

    async def handle_RCPT(  # noqa: N802 - the hook's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self._verp.delivery_id(address) is None:
            return "550 5.1.1 No such address here"
        if len(envelope.rcpt_tos) >= _RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802 - the hook's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        mail = content if isinstance(content, bytes) else (content or "").encode()
        ids = {self._verp.delivery_id(address) for address in envelope.rcpt_tos}
        for delivery_id in ids:
            if delivery_id is not None:
                await self._intake.keep(receipt_of(delivery_id, mail))
        return "250 2.0.0 Kept"

    async def handle_exception(self, error: Exception) -> str:
        # Whatever happened, the mail server must keep the mail: a 5xx would discard it.
        log.warning("bounce.not_kept", error=type(error).__name__)
        return "451 4.3.0 Not now"


@asynccontextmanager
async def receiving(listener: socket.socket, intake: Intake, verp: Verp) -> AsyncIterator[None]:
    """Accept bounces by SMTP on a bound socket while the block lasts.

    Other recipients than our return addresses are refused with 550, so it cannot relay; a mail
    above `bounces.MAX_BYTES` with 552; while the database is unavailable the answer is 451.
    """
    loop = asyncio.get_running_loop()
    handler = _Receiver(intake, verp)
    sessions: WeakSet[SMTP] = WeakSet()

    def session() -> SMTP:
        made = SMTP(
            handler,
            hostname="bounces",
            ident="bounces",
            enable_SMTPUTF8=True,
            data_size_limit=bounces.MAX_BYTES,
            loop=loop,
            timeout=60,
        )
        sessions.add(made)
        return made

    server = await loop.create_server(session, sock=listener, backlog=_BACKLOG)
    try:
        yield
    finally:
        server.close()
        for one in list(sessions):
            if one.transport is not None:
                one.transport.close()

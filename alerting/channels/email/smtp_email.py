"""Email through an SMTP relay: held connections, mails built once and made personal as bytes."""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Literal

from alerting.channels.base import DEAD_ADDRESS, TOO_LATE, Outcome, Outgoing
from alerting.channels.email.email_build import MailBuilder, MailIdentity
from alerting.channels.email.mailbox import ADDRESS, HOST, mailbox
from alerting.channels.email.smtp_outcome import answered, unreached
from alerting.channels.email.smtp_pool import (
    CONNECTION_ERRORS,
    Connection,
    SmtpPool,
    UnspeakableError,
)
from alerting.channels.email.verp import Verp
from alerting.clock import Clock, SystemClock
from alerting.errors import BadInput

_URL = re.compile(r"https?://[A-Za-z0-9._~:/\[\]%-]+")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    """How to reach the relay and whom mails are from.

    tls: `none`, `starttls` or `implicit`; never tried and given up silently.
    timeout_s: for each step of the conversation.
    bounce_domain: bounces return to an address in it that names the delivery (`verp`).
    bounce_key: what those addresses are made with; whoever takes bounces needs the same.
    list_id: names the list in mail programs; by default derived from `mail_from`.

    Raises BadInput for a value no mail could be sent with.
    """

    host: str
    port: int
    tls: Literal["none", "starttls", "implicit"]
    username: str = ""
    password: str = field(default="", repr=False)
    connections: int = 8
    timeout_s: float = 20.0
    mail_from: str = "alerts@example.org"
    mail_from_name: str = ""
    bounce_domain: str = "bounce.example.org"
    bounce_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    public_url: str = "http://localhost"
    list_id: str = ""

    def __post_init__(self) -> None:
        checks = {
            "the SMTP host is empty": bool(self.host),
            f"{self.mail_from!r} is no sender address": ADDRESS.fullmatch(self.mail_from),
            f"{self.bounce_domain!r} is no bounce domain": HOST.fullmatch(self.bounce_domain),
            f"{self.public_url!r} is no public URL": _URL.fullmatch(self.public_url),
            f"{self.list_id!r} is no list id": not self.list_id or HOST.fullmatch(self.list_id),
            "a password would travel to another machine without TLS": (
                self.tls != "none" or not self.username or self.host in _LOOPBACK
            ),
        }
        for complaint, good in checks.items():
            if not good:
                raise BadInput(
                    f"Email cannot be set up: {complaint}.",
                    remedy="See ALERTING_SMTP_… and ALERTING_MAIL_… in .env.example.",
                )

    @property
    def domain(self) -> str:
        return self.mail_from.rpartition("@")[2]


class SmtpEmail:
    """The email channel.

    A mail whose time is over is not sent. A break of the connection before the text is said is
    `provider-down` and may be tried again; after that it is `ambiguous`. A certificate that
    does not match, or a relay without the TLS or login we are set to, is `our-fault`: waiting does
    not mend it, somebody must look.
    """

    name = "email"
    # No mail wakes anybody.
    can_be_silent = True

    def __init__(self, config: SmtpConfig, *, clock: Clock | None = None) -> None:
        self.concurrency = config.connections
        self._config = config
        self._clock = clock or SystemClock()
        self._builder = MailBuilder(
            MailIdentity(
                mail_from=config.mail_from,
                mail_from_name=config.mail_from_name,
                message_domain=config.domain,
                public_url=config.public_url.rstrip("/"),
                list_id=config.list_id or f"alerts.{config.domain}",
            )
        )
        self._verp = Verp(config.bounce_key, config.bounce_domain)
        self._pool: SmtpPool | None = None

    async def open(self) -> None:
        """Make the pool. Nothing is dialled: a relay that is down must not keep a worker down."""
        config = self._config
        context = None
        if config.tls != "none":
            context = await asyncio.to_thread(ssl.create_default_context)
        self._pool = SmtpPool(
            host=config.host,
            port=config.port,
            tls=config.tls,
            username=config.username,
            password=config.password,
            connections=config.connections,
            timeout_s=config.timeout_s,
            local_hostname=config.bounce_domain,
            tls_context=context,
        )

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def send(self, message: Outgoing) -> Outcome:
        """Send one mail; every end is an Outcome. Raises RuntimeError before `open`."""
        if self._pool is None:
            raise RuntimeError("The email channel is not open.")
        to = mailbox(message.endpoint)
        if to is None:
            return Outcome(message.delivery_id, DEAD_ADDRESS, provider_code="unusable address")
        async with self._pool.lend() as connection:
            # Asked here, not before: the wait for a connection may have been the longer part.
            now = self._clock.now()
            if message.valid_until is not None and message.valid_until <= now:
                return Outcome(message.delivery_id, TOO_LATE)
            mail = self._builder.build(message, to=to, date=_date(int(now.timestamp())))
            return await self._deliver(connection, message.delivery_id, to, mail)

    async def _deliver(
        self, connection: Connection, delivery_id: int, to: str, mail: bytes
    ) -> Outcome:
        sender = self._verp.address(delivery_id)
        try:
            answer = await connection.deliver(sender=sender, to=to, mail=mail)
        except UnspeakableError:
            return Outcome(delivery_id, DEAD_ADDRESS, provider_code="no SMTPUTF8")
        except CONNECTION_ERRORS as e:
            return unreached(delivery_id, e)
        return answered(delivery_id, answer)


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))

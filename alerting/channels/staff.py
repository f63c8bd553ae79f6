"""Staff: mails and SMS to the operator's own people, who wait in no queue with citizens' messages.

They carry no link to leave by, are not paced and have no delivery in the ledger: they are few.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.utils import formataddr, localtime, make_msgid

import aiosmtplib

from alerting.background import end
from alerting.channels.base import Outgoing, Rendering
from alerting.channels.email.email_channel import relays
from alerting.channels.email.mailbox import mailbox
from alerting.channels.email.smtp_email import SmtpConfig
from alerting.channels.email.smtp_pool import CONNECTION_ERRORS
from alerting.channels.sms.sms_channel import accounts
from alerting.channels.sms.twilio_sms import TwilioConfig, TwilioSms
from alerting.channels.spec import Sandbox
from alerting.domain.lane import Lane
from alerting.observe.logs import logger
from alerting.settings import Settings

log = logger(__name__)

#: Nobody is told later than this; whoever was not by then is tried again.
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said. short: the same as an SMS."""

    subject: str
    text: str
    short: str


def staff(settings: Settings, *, sandbox: Sandbox | None) -> Staff | None:
    """What reaches those who may let a held alert go, by the providers that citizens' messages go
    by; None where nobody is named. Raises BadInput for settings that cannot work."""
    to = settings.approvers
    if not to:
        return None
    key = secrets.token_bytes(32)  # no bounce of theirs is taken
    return Staff(to, relays(settings, key, sandbox), accounts(settings, sandbox))


class Staff:
    """Reaches the addresses in `to`: mail addresses, and numbers such as +447700900123.

    mail, sms: the relays and accounts there are, the preferred first; the next is tried where one
    does not take it.
    """

    def __init__(
        self, to: Sequence[str], mail: Sequence[SmtpConfig], sms: Sequence[TwilioConfig]
    ) -> None:
        self.to = tuple(to)
        self._mail = mail
        # Nothing of theirs is in the ledger, so nobody need report on it.
        self._sms = [replace(account, status_callback_url="") for account in sms]

    async def tell(self, notice: Notice) -> int:
        """Send it to everybody; returns how many addresses a provider took it for. Never raises
        for what a provider does."""
        async with AsyncExitStack() as stack:
            accounts = [TwilioSms(config) for config in self._sms]
            for account in accounts:
                await account.open()
                stack.push_async_callback(account.close)
            tasks = [
                asyncio.create_task(
                    self._by_mail(to, notice) if "@" in to else _by_sms(to, notice, accounts)
                )
                for to in self.to
            ]
            done, late = await asyncio.wait(tasks, timeout=_PATIENCE_S)
            await end(*late)
            return sum(task.result() for task in done)

    async def _by_mail(self, to: str, notice: Notice) -> bool:
        for relay in self._mail:
            try:
                refused, _ = await aiosmtplib.send(
                    _mail_of(relay, to, notice),
                    hostname=relay.host,
                    port=relay.port,
                    username=relay.username or None,
                    password=relay.password or None,
                    local_hostname=relay.bounce_domain,
                    timeout=relay.timeout_s,
                    use_tls=relay.tls == "implicit",
                    start_tls=relay.tls == "starttls",
                )
            except CONNECTION_ERRORS as e:
                log.warning("staff.not_told", channel="email", error=type(e).__name__)
                continue
            if not refused:
                return True
        return False


def _mail_of(relay: SmtpConfig, to: str, notice: Notice) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = formataddr((" ".join(relay.mail_from_name.split()), relay.mail_from))
    mail["To"] = mailbox(to) or to
    mail["Subject"] = " ".join(notice.subject.split())
    mail["Date"] = localtime()
    mail["Message-ID"] = make_msgid(domain=relay.domain)
    mail["Auto-Submitted"] = "auto-generated"
    mail["Importance"] = "high"
    mail.set_content(notice.text)
    return mail


async def _by_sms(to: str, notice: Notice, accounts: Sequence[TwilioSms]) -> bool:
    rendering = Rendering("sms", "en", "", notice.short)
    for account in accounts:
        outcome = await account.send(Outgoing(0, to, rendering, Lane.SEVERE, ""))
        if outcome.accepted:
            return True
        log.warning("staff.not_told", channel="sms", error=outcome.error and outcome.error.code)
    return False

"""The mail server at the far end: takes mails over SMTP and reads them as a mail program would.

Source: RFC 5321 (SMTP), 3463 (enhanced status codes), 6647 (greylisting).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from alerting.embedded.carriers.bounces import Bounces
from alerting.embedded.carriers.intake import Intake
from alerting.embedded.carriers.received import Received, tidy

_DELIVERY = re.compile(r"<d(\d{1,19})@", re.ASCII)
_VERP = re.compile(r"b\+(\d{1,19})(?:\.[a-z2-7]+)?@", re.ASCII)
#: Pairs remembered by greylisting; the oldest make room and are strangers again.
_PAIRS = 100_000


class MailHandler:
    """aiosmtpd calls these. Its hooks' names are given; each returns the reply."""

    def __init__(self, intake: Intake, bounces: Bounces) -> None:
        self._intake = intake
        self._bounces = bounces
        self._met: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def handle_RCPT(  # noqa: N802 - the hook's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        desk = self._intake.desk
        faults = desk.faults.email
        reply = ""
        if desk.too_fast("email", faults):
            reply = "451 4.7.1 Too many mails, slow down"
        elif address.lower() in faults.unknown:
            reply = "550 5.1.1 No such mailbox here"
        elif faults.greylist_s and self._is_stranger(envelope, address, faults.greylist_s):
            reply = "451 4.7.1 Greylisted, come back later"
        if reply:
            self._intake.phones.refuse("email")
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802 - the hook's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        self._busy += 1
        self._idle.clear()
        try:
            return await self._take(server, envelope)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def settled(self) -> None:
        """Return when every mail that was being taken has its answer, or after five seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._idle.wait()
        # aiosmtpd writes the answer once the hook has returned.
        await asyncio.sleep(0.02)

    async def _take(self, server: SMTP, envelope: Envelope) -> str:
        desk = self._intake.desk
        faults = desk.faults.email
        await desk.delay(faults)
        if desk.strikes(faults.failure_rate):
            self._intake.phones.refuse("email")
            return faults.failure_reply
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        mails = self._read(raw, envelope.mail_from or "", envelope.rcpt_tos)
        try:
            for mail in mails:
                await self._intake.take(mail)
                self._bounces.consider(mail, envelope.mail_from or "")
        except OSError:
            self._intake.phones.refuse("email")
            return "451 4.3.0 The sandbox cannot write its log"
        if desk.strikes(faults.ambiguous_rate):
            drop(server)
        return "250 2.0.0 Ok: taken"

    def _is_stranger(self, envelope: Envelope, address: str, wait_s: float) -> bool:
        pair = (envelope.mail_from or "", address)
        now = time.monotonic()
        first = self._met.setdefault(pair, now)
        if len(self._met) > _PAIRS:
            self._met.popitem(last=False)
        return now - first < wait_s

    def _read(self, raw: bytes, sender: str, recipients: list[str]) -> list[Received]:
        """One record for each recipient."""
        mail = message_from_bytes(raw)
        message_id = str(mail["Message-ID"] or "").strip()
        ref = _DELIVERY.match(message_id) or _VERP.match(sender)
        keep = self._intake.phones.keep
        subject, body = keep(_header(mail["Subject"])), keep(_text(mail))
        author = keep(_header(mail["From"]))
        now = datetime.now(UTC)
        return [
            Received(
                at=now,
                channel="email",
                id=message_id,
                to=recipient,
                sender=author,
                ref=int(ref[1]) if ref else None,
                body=body,
                title=subject,
                language=str(mail["Content-Language"] or ""),
                details={"envelope_from": sender, "bytes": len(raw)},
            )
            for recipient in recipients
        ]


def drop(server: SMTP) -> None:
    """Reset the connection under a session."""
    transport: Any = server.transport
    if transport is not None:
        transport.abort()


def _header(value: object) -> str:
    text = " ".join(str(value or "").split())
    if "=?" not in text:
        return tidy(text)
    try:
        return tidy(str(make_header(decode_header(text))))
    except (HeaderParseError, LookupError, ValueError):
        return tidy(text)


def _text(mail: Message) -> str:
    """The first plain text part, decoded; empty where there is none."""
    for part in mail.walk():
        if part.get_content_type() == "text/plain" and not part.is_multipart():
            raw = part.get_payload(decode=True)
            if not isinstance(raw, bytes):
                return ""
            try:
                text = raw.decode(part.get_content_charset("utf-8"), "replace")
            except LookupError:
                text = raw.decode("utf-8", "replace")
            return tidy(text.replace("\r\n", "\n").strip())
    return ""

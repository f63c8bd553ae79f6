"""Sends delivery reports back, as a mail server that accepted a mail and could not deliver it.

Source: RFC 3464 (delivery status notifications), RFC 5321 §4.5.5 (the empty return path).
"""

from __future__ import annotations

import asyncio
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime

import aiosmtplib

from alerting.background import end
from alerting.embedded.carriers.faults import Desk
from alerting.embedded.carriers.received import Received
from alerting.observe.logs import logger

log = logger(__name__)

_NAME = "sandbox.example.org"
#: Concurrent connections.
_AT_ONCE = 8
#: Bounces that wait; beyond this the receiver is so far behind that they are lost.
_WAITING = 50_000
#: A bounce the receiver did not accept (no answer, 4xx) is sent again after these seconds.
RETRY_S = (1.0, 2.0, 4.0, 8.0)
_TIMEOUT_S = 15.0


class Bounces:
    """Reports on a share of the mails taken, to their return addresses at one mail server.

    A bounce that is refused for good, or not taken in five tries, is given up. What still waits
    when it is closed is dropped and counted.
    """

    def __init__(self, host: str, port: int, desk: Desk) -> None:
        self._host = host
        self._port = port
        self._desk = desk
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self.posted = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        return len(self._tasks)

    def consider(self, mail: Received, return_path: str) -> None:
        """Let the faults in force decide about one mail; never waits."""
        faults = self._desk.faults.email
        # RFC 5321 §6.1: what came with an empty return path is never answered.
        if not return_path or not self._desk.strikes(faults.bounce_rate):
            return
        if self.waiting >= _WAITING:
            self.dropped += 1
            return
        report = _report(mail, return_path, faults.bounce_status)
        task = asyncio.create_task(self._later(report, return_path, faults.bounce_delay_ms / 1000))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        waiting = list(self._tasks)
        self.dropped += len(waiting)
        await end(*waiting)
        if self.dropped:
            log.warning("carriers.bounces_dropped", bounces=self.dropped)

    async def _later(self, report: bytes, to: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        for again_s in (*RETRY_S, None):
            async with self._turn:
                taken = await self._post(report, to)
            if taken is not None:
                self.posted += taken
                return
            if again_s is not None:
                await asyncio.sleep(again_s)
        self.dropped += 1

    async def _post(self, report: bytes, to: str) -> bool | None:
        """True when it was taken, False when refused for good, None to try again."""
        try:
            client = aiosmtplib.SMTP(
                hostname=self._host,
                port=self._port,
                local_hostname=_NAME,
                start_tls=False,
                timeout=_TIMEOUT_S,
            )
            async with client:
                await client.sendmail("", [to], report)
        except aiosmtplib.SMTPRecipientsRefused as e:
            return False if all(r.code >= 500 for r in e.recipients) else None
        except aiosmtplib.SMTPResponseException as e:
            return False if e.code >= 500 else None
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            return None
        return True


def _report(mail: Received, return_path: str, status: str) -> bytes:
    """A report on one recipient: failed for a 5.x.x, delayed for a 4.x.x."""
    failed = status.startswith("5")
    reply = f"{'550' if failed else '450'} {status}"
    whole = MIMEMultipart("report", report_type="delivery-status")
    whole["From"] = f"Mail Delivery System <MAILER-DAEMON@{_NAME}>"
    whole["To"] = return_path
    whole["Subject"] = "Undelivered Mail Returned to Sender" if failed else "Delayed Mail"
    whole["Date"] = format_datetime(mail.at)
    whole["Auto-Submitted"] = "auto-replied"
    whole.attach(MIMEText("This is the mail system. Your message was not delivered.\n"))
    status_part = Message()
    status_part["Content-Type"] = "message/delivery-status"
    host, person = Message(), Message()
    host["Reporting-MTA"] = f"dns; {_NAME}"
    person["Final-Recipient"] = f"rfc822; {mail.to}"
    person["Action"] = "failed" if failed else "delayed"
    person["Status"] = status
    person["Diagnostic-Code"] = f"smtp; {reply} <{mail.to}>: as the sandbox was told"
    status_part.set_payload([host, person])
    whole.attach(status_part)
    headers = MIMEText(f"Message-ID: {mail.id}\n", "rfc822-headers")
    whole.attach(headers)
    return whole.as_bytes()

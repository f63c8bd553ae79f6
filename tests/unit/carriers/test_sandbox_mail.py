"""The mail server takes mails as any server does, and reads them as a mail program."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from email.message import EmailMessage

import aiosmtplib
import pytest
from carrier_client import until

from alerting.embedded.carriers import read_log


def _mail(**headers):
    mail = EmailMessage()
    mail["From"] = "Alerts <alerts@example.org>"
    mail["To"] = "c7@example.org"
    mail["Subject"] = "Überschwemmung im Tal"
    mail["Message-ID"] = "<d815@example.org>"
    for name, value in headers.items():
        del mail[name]
        if value:
            mail[name] = value
    mail.set_content("Gehen Sie höher.\n\nNicht durch Wasser fahren.")
    mail.add_alternative("<p>Gehen Sie höher.</p>", subtype="html")
    return mail


async def _send(carriers, mail=None, *, sender="b+815@bounce.example.org", to=("c7@example.org",)):
    return await aiosmtplib.send(
        mail or _mail(),
        sender=sender,
        recipients=list(to),
        hostname=carriers.smtp_host,
        port=carriers.smtp_port,
        start_tls=False,
        timeout=60,
    )


async def test_mail_is_parsed_and_logged(carriers, var):
    await _send(carriers)
    (line,) = read_log(var, "email")
    assert line["to"] == "c7@example.org"
    assert line["envelope_from"] == "b+815@bounce.example.org"
    assert (line["id"], line["ref"]) == ("<d815@example.org>", 815)
    assert line["subject"] == "Überschwemmung im Tal"
    assert line["body"] == "Gehen Sie höher.\n\nNicht durch Wasser fahren."
    assert "alerts@example.org" in line["sender"]


async def test_delivery_id_comes_from_the_envelope(carriers, var):
    await _send(
        carriers, _mail(**{"Message-ID": "<x@example.org>"}), sender="b+4@bounce.example.org"
    )
    await _send(carriers, _mail(**{"Message-ID": ""}), sender="a@example.org")
    assert [line["ref"] for line in read_log(var, "email")] == [4, None]


async def test_every_recipient_has_a_line(carriers, var):
    await _send(carriers, to=("c1@example.org", "c2@example.org"))
    assert [line["to"] for line in read_log(var, "email")] == ["c1@example.org", "c2@example.org"]


async def test_non_standard_mail_is_accepted(carriers, var):
    raw = (
        b"Subject: =?x-none?q?caf=E9?=\r\nContent-Type: text/plain; charset=x-none\r\n\r\n\xff\r\n"
    )
    client = aiosmtplib.SMTP(hostname=carriers.smtp_host, port=carriers.smtp_port, start_tls=False)
    async with client:
        await client.sendmail("a@example.org", ["c7@example.org"], raw)
        await client.sendmail("a@example.org", ["c7@example.org"], b"")
    first, second = read_log(var, "email")
    assert (first["body"], second["body"]) == ("\ufffd", "")
    assert second["id"] == ""


async def _faults(http, **email):
    async with http.post("/sandbox/faults", json={"email": email}) as answer:
        assert answer.status == 200, await answer.text()


async def test_unknown_mailbox_is_refused_alone(carriers, http, var):
    await _faults(http, unknown=["C8@Example.org"])
    errors, _ = await _send(carriers, to=("c7@example.org", "c8@example.org"))
    assert errors["c8@example.org"].code == 550
    assert errors["c8@example.org"].message.startswith("5.1.1")
    assert [line["to"] for line in read_log(var, "email")] == ["c7@example.org"]


async def test_greylisting_defers_unknown_senders(carriers, http, var):
    await _faults(http, greylist_s=0.3)
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await _send(carriers)
    assert refused.value.recipients[0].code == 451
    async with asyncio.timeout(60):
        while not list(read_log(var, "email")):
            with suppress(aiosmtplib.SMTPRecipientsRefused):
                await _send(carriers)
    assert len(list(read_log(var, "email"))) == 1


async def test_failing_server_keeps_nothing(carriers, http, var):
    await _faults(http, failure_rate=1, failure_reply="554 5.7.1 Not wanted here")
    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await _send(carriers)
    assert (refused.value.code, refused.value.message) == (554, "5.7.1 Not wanted here")
    assert list(read_log(var, "email")) == []


async def test_lost_answer_keeps_the_mail_logged(carriers, http, var):
    await _faults(http, ambiguous_rate=1)
    with pytest.raises((aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPReadTimeoutError)):
        await _send(carriers)
    assert [line["ref"] for line in read_log(var, "email")] == [815]
    await _faults(http, ambiguous_rate=0)
    await _send(carriers)
    await until(lambda: len(list(read_log(var, "email"))) == 2)

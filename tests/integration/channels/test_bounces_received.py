"""Both ways a bounce comes in, on real sockets, and what it then does to the ledger."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import aiosmtplib
import pytest
from sqlalchemy import insert, select, text

from alerting.channels.base import Outgoing, Rendering
from alerting.channels.email.bounce_report import MAX_BYTES
from alerting.channels.email.smtp_email import SmtpConfig, SmtpEmail
from alerting.channels.email.verp import Verp
from alerting.dispatch.bounce_intake import return_addresses
from alerting.dispatch.bounce_server import receiving
from alerting.dispatch.receipts import apply_receipts
from alerting.domain.lane import Lane
from alerting.embedded.carriers.server import Where, serving
from alerting.embedded.wait import until
from alerting.settings import Settings
from alerting.store.db import Database
from alerting.store.ledger.receipt_intake import Intake
from alerting.store.schema import address, citizen, delivery, receipt, secret

DOMAIN = "bounce.example.org"
MAIL = b"""From: MAILER-DAEMON@mx.example.org\r
Content-Type: multipart/report; report-type=delivery-status; boundary=x\r
\r
--x\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.org\r
\r
Final-Recipient: rfc822; c1@example.org\r
Action: failed\r
Status: 5.1.1\r
\r
--x--\r
"""


def bound() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


@pytest.fixture
async def verp(db: Database) -> Verp:
    return await return_addresses(db, DOMAIN)


@asynccontextmanager
async def receiver(db: Database, verp: Verp) -> AsyncIterator[int]:
    with bound() as listener:
        async with receiving(listener, Intake(db), verp):
            yield int(listener.getsockname()[1])


async def send(port: int, to: str, mail: bytes = MAIL) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=60)
    async with client:
        await client.sendmail("", [to], mail)


async def kept(db: Database) -> list[tuple[Any, ...]]:
    columns = (receipt.c.channel, receipt.c.delivery_id, receipt.c.status, receipt.c.code)
    async with db.begin() as c:
        return [tuple(row) for row in await c.execute(select(*columns).order_by(receipt.c.id))]


async def test_bounce_is_stored_before_the_answer(db: Database, verp: Verp) -> None:
    async with receiver(db, verp) as port:
        await send(port, verp.address(4711))
        assert await kept(db) == [("email", 4711, "failed", "5.1.1")]
        await send(port, verp.address(4711).upper())
        await send(port, verp.address(4712), b"Subject: Re: Flood\r\n\r\nThank you\r\n")
    assert await kept(db) == [
        ("email", 4711, "failed", "5.1.1"),
        ("email", 4712, "no-report", ""),
    ]


@pytest.mark.parametrize(
    "to",
    [f"b+4711@{DOMAIN}", f"b+4711.{'a' * 16}@{DOMAIN}", "c1@example.org", f"postmaster@{DOMAIN}"],
)
async def test_unknown_return_address_is_refused(db: Database, verp: Verp, to: str) -> None:
    async with receiver(db, verp) as port:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await send(port, to)
    assert refused.value.recipients[0].code == 550
    assert await kept(db) == []


async def test_oversized_mail_is_refused(db: Database, verp: Verp) -> None:
    async with receiver(db, verp) as port:
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
            await send(port, verp.address(1), MAIL + b"x" * MAX_BYTES)
    assert refused.value.code == 552
    assert await kept(db) == []


async def test_bounce_is_deferred_while_database_is_down(db: Database, verp: Verp) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    try:
        async with receiver(away, verp) as port:
            with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
                await send(port, verp.address(1))
    finally:
        await away.close()
    assert refused.value.code == 451


async def a_delivery(db: Database, endpoint: str = "c1@example.org") -> tuple[int, int]:
    """One accepted mail: (its id, the address's id)."""
    async with db.begin() as c:
        who = await c.scalar(
            insert(citizen).values(ref=endpoint, channels=["email"]).returning(citizen.c.id)
        )
        where = await c.scalar(
            insert(address)
            .values(citizen_id=who, channel="email", endpoint=endpoint, consent=True, verified=True)
            .returning(address.c.id)
        )
        await c.execute(
            insert(delivery).values(
                id=4711, alert_id=uuid4(), citizen_id=who, address_id=where, channel="email",
                info_no=0, area_no=0, state="accepted", provider_ref="4XyZ0123",
            )
        )  # fmt: skip
    return 4711, int(where or 0)


async def ended(db: Database, id_: int) -> tuple[Any, ...]:
    async with db.begin() as c:
        query = (
            select(delivery.c.state, delivery.c.reason, address.c.suspended_reason)
            .join(address, address.c.id == delivery.c.address_id)
            .where(delivery.c.id == id_)
        )
        return tuple((await c.execute(query)).one())


@pytest.fixture
async def carriers(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[tuple[Where, int]]:
    settings = Settings(
        var=tmp_path / "var", sandbox_port=0, sandbox_smtp_port=0, bounce_port=unused_tcp_port
    )
    async with serving(settings) as where:
        yield where, unused_tcp_port


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ("5.1.1", ("failed", "dead-address", "dead-address")),
        ("5.7.1", ("failed", "our-fault", None)),
        ("5.2.2", ("failed", "unreachable", None)),
        ("4.4.1", ("accepted", "", None)),
    ],
)
async def test_bounce_ends_its_delivery(
    db: Database,
    verp: Verp,
    carriers: tuple[Where, int],
    status: str,
    end: tuple[str, str, str | None],
) -> None:
    where, port = carriers
    id_, _ = await a_delivery(db)
    async with db.begin() as c:
        key = await c.scalar(select(secret.c.value).where(secret.c.name == "bounce"))
    email = SmtpEmail(
        SmtpConfig(
            where.smtp_host, where.smtp_port, "none", bounce_domain=DOMAIN, bounce_key=bytes(key)
        )
    )
    faults = {"email": {"bounce_rate": 1, "bounce_delay_ms": 0, "bounce_status": status}}
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.setblocking(False)
    with listener:
        async with (
            aiohttp.ClientSession(where.http_url) as http,
            receiving(listener, Intake(db), verp),
        ):
            async with http.post("/sandbox/faults", json=faults) as answer:
                assert answer.status == 200, await answer.text()
            await email.open()
            text_ = Rendering("email", "en", "Flood", "Move to high ground.")
            sent = await email.send(Outgoing(id_, "c1@example.org", text_, Lane.SEVERE, "t"))
            await email.close()
            assert sent.accepted
            async with asyncio.timeout(60):
                while not await kept(db):  # noqa: ASYNC110 - nothing tells when it has come
                    await asyncio.sleep(0.02)
    async with db.begin() as connection:
        assert (await apply_receipts(connection)).taken == 1
    assert await ended(db, id_) == end


@pytest.fixture
def environment(database_url: str, tmp_path: Path, unused_tcp_port: int) -> dict[str, str]:
    settings = Settings(
        var=tmp_path / "var",
        database_url=database_url,
        mail_bounce_domain=DOMAIN,
        bounce_port=unused_tcp_port,
    )
    return {**os.environ, **settings.to_environment()}


def pipe(environment: dict[str, str], to: str, mail: bytes = MAIL) -> int:
    command = [sys.executable, "-m", "alerting.cli", "bounces", "pipe", to]
    done = subprocess.run(command, input=mail, env=environment, capture_output=True, timeout=60)
    assert b"c1@example.org" not in done.stdout + done.stderr
    return done.returncode


async def test_postfix_pipes_bounces(db: Database, verp: Verp, environment: dict[str, str]) -> None:
    assert await asyncio.to_thread(pipe, environment, verp.address(9)) == 0
    assert await kept(db) == [("email", 9, "failed", "5.1.1")]
    assert await asyncio.to_thread(pipe, environment, f"b+9@{DOMAIN}") == 67
    gone = {**environment, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    assert await asyncio.to_thread(pipe, gone, verp.address(9)) == 75
    assert len(await kept(db)) == 1


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[int]:
    """`alerting bounces serve` as it is run; its port."""
    port = int(environment["ALERTING_BOUNCE_PORT"])
    command = [sys.executable, "-m", "alerting.cli", "bounces", "serve"]
    started = subprocess.Popen(command, env=environment)
    try:
        yield port
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0
    finally:
        started.kill()
        started.wait()


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


async def test_receiver_process_starts_and_stops(db: Database, verp: Verp, process: int) -> None:
    await asyncio.to_thread(until, lambda: listens(process), timeout_s=30, what="the receiver")
    await send(process, verp.address(5))
    assert await kept(db) == [("email", 5, "failed", "5.1.1")]
    async with db.begin() as c:
        assert await c.scalar(text("select count(*) from secret where name = 'bounce'")) == 1

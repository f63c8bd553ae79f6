"""The email channel against a real SMTP server: what arrives, and how every failure is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import smtp_script
from relay_certificate import relay_tls, self_signed
from smtp_script import DROP, SILENCE, ScriptedServer, password_is, smtp_server

from alerting.channels.base import (
    AMBIGUOUS,
    DEAD_ADDRESS,
    OUR_FAULT,
    PROVIDER_DOWN,
    REFUSED_CONTENT,
    THROTTLED,
    TOO_LATE,
    UNREACHABLE,
    ErrorClass,
    Outcome,
    Outgoing,
    Rendering,
)
from alerting.channels.email import smtp_pool
from alerting.channels.email.smtp_email import SmtpConfig, SmtpEmail, mailbox
from alerting.channels.email.verp import Verp
from alerting.channels.text.texts import LEAVE_MARK
from alerting.clock import ManualClock
from alerting.domain.lane import Lane
from alerting.errors import BadInput

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RENDERING = Rendering(
    "email",
    "uk-UA",
    "НАВЧАННЯ: Повінь у Прикладівці",
    f"НАВЧАННЯ – Це навчання.\n.крапка на початку\nЗупинити:\n{LEAVE_MARK}\n",
    f'<p>Повінь</p>\n.\n<a href="{LEAVE_MARK}">Зупинити</a>',
)


def message(delivery_id: int = 41, **changes: Any) -> Outgoing:
    base = Outgoing(
        delivery_id=delivery_id,
        endpoint=f"citizen{delivery_id}@example.org",
        rendering=RENDERING,
        lane=Lane.DRILL,
        thread="event-1",
        unsubscribe_token=f"token-{delivery_id}",
    )
    return replace(base, **changes)


@asynccontextmanager
async def channel(port: int, **changes: Any) -> AsyncIterator[SmtpEmail]:
    config = SmtpConfig(
        **{
            "host": "127.0.0.1",
            "port": port,
            "tls": "none",
            "connections": 2,
            "timeout_s": 60.0,
            "mail_from": "alerts@agency.example",
            "mail_from_name": "Служба Прикладу",
            "bounce_domain": "bounce.agency.example",
            "bounce_key": b"k" * 32,
            "public_url": "https://alerts.agency.example/",
        }
        | changes
    )
    email = SmtpEmail(config, clock=ManualClock(NOW))
    await email.open()
    try:
        yield email
    finally:
        await email.close()


@asynccontextmanager
async def both(**changes: Any) -> AsyncIterator[tuple[ScriptedServer, SmtpEmail]]:
    async with smtp_server() as server, channel(server.port, **changes) as email:
        yield server, email


@pytest.fixture(autouse=True, params=[True, False], ids=["pipelining", "one by one"])
def pipelining(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(smtp_script, "PIPELINING", request.param)
    return bool(request.param)


async def test_send_delivers_whole_personal_mail(pipelining: bool) -> None:
    async with both() as (server, email):
        outcome = await email.send(message(endpoint="citizen@bücher.example"))
    assert server.pipelined is pipelining
    assert outcome == Outcome(41, provider_ref="4XyZ0123")
    [mail] = server.mails
    assert Verp(b"k" * 32, "bounce.agency.example").delivery_id(mail.sender) == 41
    assert mail.recipients == ["citizen@xn--bcher-kva.example"]
    parsed = mail.parsed
    assert parsed["Subject"] == RENDERING.subject
    assert parsed["From"].addresses[0].display_name == "Служба Прикладу"
    assert parsed["From"].addresses[0].addr_spec == "alerts@agency.example"
    assert parsed["To"] == "citizen@xn--bcher-kva.example"
    assert parsed["Date"].datetime == NOW
    assert parsed["Message-ID"] == "<d41@agency.example>"
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed["List-Id"] == "<alerts.agency.example>"
    assert parsed["List-Unsubscribe"] == "<https://alerts.agency.example/u/token-41>"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["Content-Language"] == "uk-UA"
    leave = "https://alerts.agency.example/u/token-41"
    assert mail.text("plain") == RENDERING.text.replace(LEAVE_MARK, leave).rstrip()
    assert mail.text("html") == RENDERING.html.replace(LEAVE_MARK, leave)


async def test_connections_are_pooled_up_to_the_limit() -> None:
    async with both(connections=2) as (server, email):
        assert email.concurrency == 2
        outcomes = await asyncio.gather(*(email.send(message(n)) for n in range(1, 41)))
        assert server.open_now == 2
    assert all(o.accepted for o in outcomes)
    assert [o.delivery_id for o in outcomes] == list(range(1, 41))
    assert {m.connection for m in server.mails} == {0, 1}
    for mail in server.mails:
        number = mail.sender.removeprefix("b+").partition(".")[0]
        assert mail.recipients == [f"citizen{number}@example.org"]
        links = f"{mail.parsed['List-Unsubscribe']}{mail.text('plain')}"
        assert links.count(f"token-{number}") == 2
        assert links.count("token-") == 2


REPLIES: list[tuple[str, str, ErrorClass, str]] = [
    ("rcpt", "550 5.1.1 No such user", DEAD_ADDRESS, "550 5.1.1"),
    ("rcpt", "550 no such mailbox", DEAD_ADDRESS, "550"),
    ("rcpt", "550 5.7.1 Blocked by policy", OUR_FAULT, "550 5.7.1"),
    ("rcpt", "552 5.2.2 Mailbox full", UNREACHABLE, "552 5.2.2"),
    ("rcpt", "450 4.2.0 Busy", UNREACHABLE, "450 4.2.0"),
    ("rcpt", "451 4.7.1 Greylisted", THROTTLED, "451 4.7.1"),
    ("rcpt", "421 4.7.0 Too many", THROTTLED, "421 4.7.0"),
    ("rcpt", "451 4.3.0 Try later", PROVIDER_DOWN, "451 4.3.0"),
    ("mail", "553 5.7.1 Sender not yours", OUR_FAULT, "553 5.7.1"),
    ("mail", "452 4.3.1 Disk full", PROVIDER_DOWN, "452 4.3.1"),
    ("mail", "552 5.3.4 Too big", REFUSED_CONTENT, "552 5.3.4"),
    ("data", "554 5.5.1 No valid recipients", OUR_FAULT, "554 5.5.1"),
    ("data", "451 4.3.2 Later", PROVIDER_DOWN, "451 4.3.2"),
    ("body", "552 5.3.4 Too big", REFUSED_CONTENT, "552 5.3.4"),
    ("body", "554 5.7.1 Looks like spam", REFUSED_CONTENT, "554 5.7.1"),
    ("body", "550 5.7.26 Unauthenticated", OUR_FAULT, "550 5.7.26"),
    ("body", "451 4.7.0 Slow down", THROTTLED, "451 4.7.0"),
    ("body", "354 what?", AMBIGUOUS, "354"),
    ("body", "what?", AMBIGUOUS, ""),
    ("greeting", "554 5.7.1 Your address is blocked", OUR_FAULT, "554 5.7.1"),
    ("greeting", "421 4.7.0 Too many connections", THROTTLED, "421 4.7.0"),
    ("greeting", "421 4.3.2 Shutting down", PROVIDER_DOWN, "421 4.3.2"),
    ("ehlo", "502 5.5.1 No", OUR_FAULT, "502 5.5.1"),
]


@pytest.mark.parametrize(("stage", "reply", "error", "code"), REPLIES)
async def test_each_refusal_is_classified_and_next_mail_is_sent(
    stage: str, reply: str, error: ErrorClass, code: str
) -> None:
    async with both(connections=1) as (server, email):
        server.say(stage, reply)
        assert await email.send(message(1)) == Outcome(1, error, provider_code=code)
        assert (await email.send(message(2))).accepted
        assert server.mails[-1].sender.startswith("b+2.")


@pytest.mark.parametrize("how", [DROP, SILENCE])
@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ("greeting", PROVIDER_DOWN),
        ("ehlo", PROVIDER_DOWN),
        ("mail", PROVIDER_DOWN),
        ("rcpt", PROVIDER_DOWN),
        ("data", PROVIDER_DOWN),
        ("body", AMBIGUOUS),
    ],
)
async def test_connection_loss_at_each_stage_is_classified(
    stage: str, error: ErrorClass, how: str
) -> None:
    async with both(connections=1) as (server, email):
        server.silence_s = 60
        server.say(stage, how)
        assert (await email.send(message(1))).error is error
        assert (await email.send(message(2))).accepted
    assert [m.sender[:4] for m in server.mails] == (
        ["b+1.", "b+2."] if stage == "body" else ["b+2."]
    )


async def test_connection_closed_while_idle_is_replaced() -> None:
    async with both(connections=1) as (server, email):
        assert (await email.send(message(1))).accepted
        server.drop_all()
        assert (await email.send(message(2))).accepted
        server.say("mail", "421 4.7.0 Enough mails on this connection")
        assert (await email.send(message(3))).accepted
        server.say("mail", DROP)
        assert (await email.send(message(4))).accepted
    assert [m.connection for m in server.mails] == [0, 1, 2, 3]


async def test_long_idle_connection_is_checked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_pool, "IDLE_CHECK_S", 0.0)
    monkeypatch.setattr(smtp_pool, "_NOOP_TIMEOUT_S", 60)
    async with both(connections=1) as (server, email):
        assert (await email.send(message(1))).accepted
        assert (await email.send(message(2))).accepted
        assert server.commands.count("noop") == 1
        server.say("noop", SILENCE)
        server.silence_s = 60
        assert (await email.send(message(3))).accepted
    assert [m.connection for m in server.mails] == [0, 0, 1]


async def test_refused_envelope_is_reset_or_dropped() -> None:
    async with both(connections=1) as (server, email):
        server.say("rcpt", "550 5.1.1 No")
        server.say("rset", DROP)
        assert (await email.send(message(1))).error is DEAD_ADDRESS
        assert (await email.send(message(2))).accepted
    assert server.mails[0].recipients == ["citizen2@example.org"]


async def test_connection_refused_is_provider_down() -> None:
    async with smtp_server() as server:
        port = server.port
    async with channel(port) as email:
        assert await email.send(message()) == Outcome(41, PROVIDER_DOWN)


async def test_expired_mail_is_not_sent() -> None:
    async with both() as (server, email):
        assert (await email.send(message(1, valid_until=NOW))).error is TOO_LATE
        assert (await email.send(message(2, valid_until=NOW + timedelta(seconds=1)))).accepted
    assert len(server.mails) == 1


async def test_cancelled_send_returns_a_clean_connection() -> None:
    async with both(connections=1) as (server, email):
        server.say("rcpt", SILENCE)
        sending = asyncio.create_task(email.send(message(1)))
        async with asyncio.timeout(60):
            await server.fell_silent.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (await email.send(message(2))).accepted
    assert server.mails[0].recipients == ["citizen2@example.org"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org>\r\nRCPT TO:<b@example.org",
        "a@example.org\n",
        "a, b@example.org",
        "a <b@example.org>",
        "a\u202e@example.org",
        "\ud800@example.org",
        "@example.org",
        "a@",
        "a",
        "",
        f"{'a' * 65}@example.org",
        f"a@{'b' * 64}.example.org",
    ],
)
async def test_bad_address_is_never_sent(endpoint: str) -> None:
    async with both() as (server, email):
        assert (await email.send(message(endpoint=endpoint))).error is DEAD_ADDRESS
    assert server.commands == []


async def test_non_ascii_mailbox_needs_smtputf8() -> None:
    assert mailbox("пошта@example.org") == "пошта@example.org"
    async with both() as (server, email):
        outcome = await email.send(message(endpoint="пошта@example.org"))
        assert (outcome.error, outcome.provider_code) == (DEAD_ADDRESS, "no SMTPUTF8")
    async with smtp_server(enable_SMTPUTF8=True) as server, channel(server.port) as email:
        assert (await email.send(message(endpoint="пошта@example.org"))).accepted
    assert server.mails[0].recipients == ["пошта@example.org"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_tls_mode_and_certificate_are_enforced(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, tls: str, trusted: bool
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = relay_tls(certificate)
    options: dict[str, Any] = (
        {"implicit_tls": context}
        if tls == "implicit"
        else {"tls_context": context, "require_starttls": True}
    )
    async with smtp_server(**options) as server, channel(server.port, tls=tls) as email:
        outcome = await email.send(message())
    if trusted:
        assert outcome.accepted
    else:
        assert (outcome.error, outcome.provider_code) == (OUR_FAULT, "tls certificate")
        assert server.mails == []


@pytest.mark.parametrize("over_tls", [True, False])
async def test_offers_before_starttls_are_forgotten(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, over_tls: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    options: dict[str, Any] = {"tls_context": relay_tls(certificate), "require_starttls": True}
    async with smtp_server(**options) as server, channel(server.port, tls="starttls") as email:
        server.pipelining = lambda tls: tls is over_tls
        assert (await email.send(message())).accepted
    assert server.pipelined is over_tls


async def test_relay_without_tls_or_login_gets_no_mail() -> None:
    for changes in ({"tls": "starttls"}, {"username": "me", "password": "secret"}):
        async with both(**changes) as (server, email):
            outcome = await email.send(message())
        assert outcome.error is OUR_FAULT
        assert outcome.provider_code == "starttls or auth not offered"
        assert server.mails == []


async def test_relay_without_tls_is_provider_down() -> None:
    async with both(tls="implicit") as (server, email):
        assert (await email.send(message())).error is PROVIDER_DOWN
    assert server.mails == []


@pytest.mark.parametrize(("password", "error"), [("secret", None), ("wrong", OUR_FAULT)])
async def test_login_result_is_classified(password: str, error: ErrorClass | None) -> None:
    options = {"auth_require_tls": False, "authenticator": password_is("secret")}
    async with (
        smtp_server(**options) as server,
        channel(server.port, username="me", password=password) as email,
    ):
        outcome = await email.send(message())
    assert outcome.error is error
    assert outcome.provider_code == ("" if error is None else "535 5.7.8")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"host": ""}, "host is empty"),
        ({"mail_from": "alerts"}, "no sender address"),
        ({"bounce_domain": "b ounce"}, "no bounce domain"),
        ({"public_url": "alerts.example.org"}, "no public URL"),
        ({"public_url": "https://x/\r\nBcc: y"}, "no public URL"),
        ({"list_id": "<x>"}, "no list id"),
        ({"host": "mx.example.org", "username": "me"}, "without TLS"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        SmtpConfig(**{"host": "127.0.0.1", "port": 25, "tls": "none"} | changes)


def test_password_is_not_in_repr() -> None:
    assert "hunter2" not in repr(SmtpConfig("127.0.0.1", 25, "none", password="hunter2"))


async def test_send_before_open_raises() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await SmtpEmail(SmtpConfig("127.0.0.1", 25, "none")).send(message())

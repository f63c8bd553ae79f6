"""What a relay lets us know before a mail is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from relay_certificate import relay_tls, self_signed
from smtp_script import password_is, smtp_server
from test_email_sink import SINK, smtp_sink

from alerting.channels.email.smtp_email import SmtpConfig
from alerting.channels.email.smtp_probe import Relay, examine
from alerting.errors import WorkFailed


def config(port: int, **changes: Any) -> SmtpConfig:
    return SmtpConfig(**{"host": "127.0.0.1", "port": port, "tls": "none"} | changes)


@pytest.mark.skipif(SINK is None, reason="smtp-sink is not installed")
async def test_probe_of_relay_without_tls_sends_no_mail(tmp_path: Path) -> None:
    async with smtp_sink(tmp_path, "-D", "mails") as port:
        assert await examine(config(port), timeout_s=60) == Relay("", None, logged_in=False)
    assert not (tmp_path / "mails").exists()


@pytest.mark.skipif(SINK is None, reason="smtp-sink is not installed")
async def test_probe_of_rejecting_relay_fails(tmp_path: Path) -> None:
    async with smtp_sink(tmp_path, "-f", "CONNECT") as port:
        with pytest.raises(WorkFailed, match=rf"127\.0\.0\.1:{port} turns us away: 5\d\d"):
            await examine(config(port), timeout_s=60)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_probe_reports_certificate_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str
) -> None:
    certificate = self_signed(tmp_path, days=9.5)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with smtp_server(**options(certificate, tls)) as server:
        found = await examine(config(server.port, tls=tls), timeout_s=60)
    assert (found.tls, found.certificate_days) == ("TLSv1.3", 9)
    assert not server.mails


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_probe_fails_on_expired_or_untrusted_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str
) -> None:
    certificate = self_signed(tmp_path, days=-1)
    async with smtp_server(**options(certificate, tls)) as server:
        with pytest.raises(WorkFailed, match="not accepted: self-signed certificate"):
            await examine(config(server.port, tls=tls), timeout_s=60)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(WorkFailed, match="not accepted: certificate has expired") as refused:
            await examine(config(server.port, tls=tls), timeout_s=60)
    assert "renewed" in refused.value.remedy


async def test_probe_tries_the_login() -> None:
    login = {"auth_require_tls": False, "authenticator": password_is("secret")}
    me = {"username": "me", "password": "secret"}
    async with smtp_server(**login) as server:
        assert (await examine(config(server.port, **me), timeout_s=60)).logged_in
        with pytest.raises(WorkFailed, match=r"refuses the login \(535\)") as refused:
            await examine(config(server.port, **me | {"password": "guess"}), timeout_s=60)
    assert "guess" not in str(refused.value)
    async with smtp_server() as server:
        with pytest.raises(WorkFailed, match="offers no login"):
            await examine(config(server.port, **me), timeout_s=60)
        with pytest.raises(WorkFailed, match="offers no STARTTLS"):
            await examine(config(server.port, tls="starttls"), timeout_s=60)


async def test_probe_of_missing_relay_fails() -> None:
    with pytest.raises(WorkFailed, match=r"127\.0\.0\.1:9 cannot be reached: .*ALERTING_SMTP"):
        await examine(config(9), timeout_s=60)


def options(certificate: Path, tls: str) -> dict[str, Any]:
    context = relay_tls(certificate)
    if tls == "implicit":
        return {"implicit_tls": context}
    return {"tls_context": context, "require_starttls": True}

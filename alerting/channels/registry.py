"""Which channels there are, and how each is built from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alerting.channels.base import Channel
from alerting.channels.email import SmtpConfig, SmtpEmail
from alerting.channels.push import PushConfig, WebPush
from alerting.channels.sms import TwilioConfig, TwilioSms
from alerting.domain.lane import Lane
from alerting.settings import Settings

Tls = Literal["none", "starttls", "implicit"]

#: Every channel this system speaks, in the order used where a citizen has none.
CHANNELS = ("push", "sms", "email")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where the stand-in carriers are and what their Twilio account is called."""

    host: str
    http_port: int
    smtp_port: int
    account: str
    token: str


def build(settings: Settings, *, vapid: bytes, sandbox: Sandbox | None) -> dict[str, Channel]:
    """Every channel that has its settings, or all of them on the sandbox where one is given.

    A channel without settings is left out: its deliveries wait and the log says so. Settings that
    cannot work raise BadInput.
    """
    if sandbox is not None:
        return {
            "sms": TwilioSms(_sandbox_sms(settings, sandbox)),
            "email": SmtpEmail(_email(settings, sandbox.host, sandbox.smtp_port, "none")),
            "push": WebPush(_push(settings, vapid, loopback=True)),
        }
    channels: dict[str, Channel] = {"push": WebPush(_push(settings, vapid, loopback=False))}
    if settings.twilio_account_sid:
        channels["sms"] = TwilioSms(_sms(settings))
    if settings.smtp_host:
        channels["email"] = SmtpEmail(
            _email(settings, settings.smtp_host, settings.smtp_port, settings.smtp_tls)
        )
    return channels


def _sandbox_sms(settings: Settings, sandbox: Sandbox) -> TwilioConfig:
    return TwilioConfig(
        account_sid=sandbox.account,
        auth_token=sandbox.token,
        base_url=f"http://{sandbox.host}:{sandbox.http_port}",
        default_sender="+447700900000",
        status_callback_url=_callback(settings),
        timeout_s=settings.twilio_timeout_s,
        concurrency=settings.twilio_concurrency,
    )


def _sms(settings: Settings) -> TwilioConfig:
    own = {Lane.EXTREME: settings.twilio_from_extreme} if settings.twilio_from_extreme else {}
    return TwilioConfig(
        account_sid=settings.twilio_account_sid,
        auth_token=settings.twilio_auth_token.get_secret_value(),
        base_url=settings.twilio_base_url,
        default_sender=settings.twilio_from,
        senders=own,
        messaging_service=settings.twilio_messaging_service,
        status_callback_url=_callback(settings),
        timeout_s=settings.twilio_timeout_s,
        concurrency=settings.twilio_concurrency,
    )


def _callback(settings: Settings) -> str:
    return f"{settings.public_url}/webhooks/twilio/status"


def _email(settings: Settings, host: str, port: int, tls: Tls) -> SmtpConfig:
    return SmtpConfig(
        host=host,
        port=port,
        tls=tls,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        connections=settings.smtp_connections,
        timeout_s=settings.smtp_timeout_s,
        mail_from=settings.mail_from,
        mail_from_name=settings.mail_from_name,
        bounce_domain=settings.mail_bounce_domain,
        public_url=settings.public_url,
    )


def _push(settings: Settings, vapid: bytes, *, loopback: bool) -> PushConfig:
    return PushConfig(
        vapid_pem=vapid,
        contact=settings.push_contact,
        timeout_s=settings.push_timeout_s,
        concurrency=settings.push_concurrency,
        allowed_origins=settings.push_origins,
        allow_loopback_http=loopback,
    )

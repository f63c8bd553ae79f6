"""Which channels there are, and how each is built from the settings."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from alerting.channels.base import Channel
from alerting.channels.drill_wall import Refused, walled
from alerting.channels.email import SmtpConfig, SmtpEmail
from alerting.channels.push import PushConfig, WebPush
from alerting.channels.sms import TwilioConfig, TwilioSms
from alerting.channels.staff import Staff
from alerting.domain.lane import Lane
from alerting.settings import Settings, SmtpRelay, TwilioAccount

#: Every channel this system speaks, in the order used where a citizen has none.
CHANNELS = ("push", "sms", "email")

_KINDS: dict[str, type[WebPush | TwilioSms | SmtpEmail]] = {
    "push": WebPush,
    "sms": TwilioSms,
    "email": SmtpEmail,
}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where the stand-in carriers are and what their Twilio account is called."""

    host: str
    http_port: int
    smtp_port: int
    account: str
    token: str


@dataclass(frozen=True, slots=True)
class Provider:
    """One company or server that carries a channel.

    name: `sms.1`, `sms.2`, … in the order of the settings. own_extreme: extreme alerts have a
    sender of their own there, with a rate of its own. slow_s: an answer that takes longer is slow
    for one of its kind. by_origin: the servers behind the addresses are what works or does not,
    each for itself.
    """

    name: str
    channel: Channel
    own_extreme: bool = False
    slow_s: float = 3.0
    by_origin: bool = False


#: A relay may look into a mail before it takes it.
_RELAY_SLOW_S = 5.0


def can_be_silent(channel: str) -> bool:
    """True for a channel that can reach somebody without interrupting them."""
    return _KINDS[channel].can_be_silent


def build(
    settings: Settings,
    *,
    vapid: bytes,
    bounce_key: bytes,
    drill_key: bytes,
    sandbox: Sandbox | None,
    refused: Refused,
) -> dict[str, tuple[Provider, ...]]:
    """The providers of every channel, the preferred first; all on the sandbox where one is given.

    A channel without settings is left out: its deliveries wait and the log says so. Settings that
    cannot work raise BadInput.

    drill_key: what passes for drills are checked with. refused: hears of each drill that had none.
    """
    return {
        name: tuple(replace(p, channel=walled(p.channel, drill_key, refused)) for p in providers)
        for name, providers in _built(settings, vapid, bounce_key, sandbox).items()
        if providers
    }


def staff(settings: Settings, *, sandbox: Sandbox | None) -> Staff | None:
    """What reaches those who may let a held alert go, by the providers that citizens' messages go
    by; None where nobody is named. Raises BadInput as `build` does."""
    to = settings.approvers
    if not to:
        return None
    key = secrets.token_bytes(32)  # no bounce of theirs is taken
    return Staff(to, mail_relays(settings, key, sandbox), sms_accounts(settings, sandbox))


def _built(
    settings: Settings, vapid: bytes, bounce_key: bytes, sandbox: Sandbox | None
) -> dict[str, tuple[Provider, ...]]:
    sms = [
        Provider(f"sms.{n}", TwilioSms(c), Lane.EXTREME in c.senders)
        for n, c in enumerate(sms_accounts(settings, sandbox), 1)
    ]
    push = WebPush(push_identity(settings, vapid, sandbox))
    return {
        "push": (Provider("push.1", push, by_origin=True),),
        "sms": tuple(sms),
        "email": tuple(
            Provider(f"email.{n}", SmtpEmail(c), slow_s=min(_RELAY_SLOW_S, c.timeout_s / 2))
            for n, c in enumerate(mail_relays(settings, bounce_key, sandbox), 1)
        ),
    }


def sms_accounts(settings: Settings, sandbox: Sandbox | None) -> list[TwilioConfig]:
    """The SMS accounts, the preferred first; the sandbox's alone where one is given."""
    if sandbox is not None:
        return [_sandbox_sms(settings, sandbox)]
    return [_sms(settings, account) for account in settings.twilio_accounts]


def mail_relays(settings: Settings, bounce_key: bytes, sandbox: Sandbox | None) -> list[SmtpConfig]:
    """The mail relays, the preferred first; the sandbox's alone where one is given.

    Raises BadInput for settings no mail could be sent with.
    """
    relays = settings.smtp_relays
    if sandbox is not None:
        relays = [SmtpRelay(sandbox.host, sandbox.smtp_port, "none")]
    return [_email(settings, relay, bounce_key) for relay in relays]


def push_identity(settings: Settings, vapid: bytes, sandbox: Sandbox | None) -> PushConfig:
    """Who we are to push services."""
    return PushConfig(
        vapid_pem=vapid,
        contact=settings.push_contact,
        timeout_s=settings.push_timeout_s,
        concurrency=settings.push_concurrency,
        allowed_origins=settings.push_origins,
        allow_loopback_http=sandbox is not None,
    )


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


def _sms(settings: Settings, account: TwilioAccount) -> TwilioConfig:
    own = {Lane.EXTREME: account.from_extreme, Lane.DRILL: account.from_drill}
    return TwilioConfig(
        account_sid=account.sid,
        auth_token=account.token,
        base_url=account.base_url,
        default_sender=account.from_,
        senders={lane: number for lane, number in own.items() if number},
        messaging_service=account.messaging_service,
        status_callback_url=_callback(settings),
        timeout_s=settings.twilio_timeout_s,
        concurrency=settings.twilio_concurrency,
    )


def _callback(settings: Settings) -> str:
    return f"{settings.public_url}/webhooks/twilio/status"


def _email(settings: Settings, relay: SmtpRelay, bounce_key: bytes) -> SmtpConfig:
    return SmtpConfig(
        host=relay.host,
        port=relay.port,
        tls=relay.tls,
        username=relay.username,
        password=relay.password,
        connections=settings.smtp_connections,
        timeout_s=settings.smtp_timeout_s,
        mail_from=settings.mail_from,
        mail_from_name=settings.mail_from_name,
        bounce_domain=settings.mail_bounce_domain,
        bounce_key=bounce_key,
        public_url=settings.public_url,
    )

"""Email, by SMTP relays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from alerting.channels.email import mailbox
from alerting.channels.email.email_text import email_digest, email_layout
from alerting.channels.spec import (
    CHECK_S,
    ChannelSpec,
    Check,
    Finding,
    Provider,
    Report,
    Sandbox,
    Setup,
)
from alerting.domain.delivery import DeliveryState
from alerting.errors import AlertingError, BadInput
from alerting.settings import Settings, SmtpRelay

if TYPE_CHECKING:
    from alerting.channels.email.smtp_email import SmtpConfig

# The adapter brings aiosmtplib, which most commands do without: it is imported where it is built.

#: A relay may look into a mail before it takes it.
_SLOW_S = 5.0

#: A certificate that runs out sooner is worth a note.
_SOON_DAYS = 14

#: The domain of the default sender, which belongs to nobody and must be replaced.
_NOBODYS = "example.org"


def relays(settings: Settings, bounce_key: bytes, sandbox: Sandbox | None) -> list[SmtpConfig]:
    """The mail relays, the preferred first; the sandbox's alone where one is given.

    Raises BadInput for settings no mail could be sent with.
    """
    found = settings.smtp_relays
    if sandbox is not None:
        found = [SmtpRelay(sandbox.host, sandbox.smtp_port, "none")]
    return [_relay(settings, relay, bounce_key) for relay in found]


def _relay(settings: Settings, relay: SmtpRelay, bounce_key: bytes) -> SmtpConfig:
    from alerting.channels.email.smtp_email import SmtpConfig

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


def _providers(setup: Setup) -> Sequence[Provider]:
    from alerting.channels.email.smtp_email import SmtpEmail

    return [
        Provider(f"{EMAIL.name}.{n}", SmtpEmail(c), slow_s=min(_SLOW_S, c.timeout_s / 2))
        for n, c in enumerate(relays(setup.settings, setup.bounce_key, setup.sandbox), 1)
    ]


def _read_report(status: str, code: str) -> Report | None:
    from alerting.channels.email import bounce_report

    state = bounce_report.report_state(status)
    if state is None:
        return None
    failed = state is DeliveryState.FAILED
    return Report(state, bounce_report.classify(code) if failed and code else None)


def _checks(setup: Setup) -> Mapping[str, Check]:
    settings = setup.settings
    found: dict[str, Check] = {}
    try:
        for n, relay in enumerate(relays(settings, setup.bounce_key, setup.sandbox), 1):
            found[f"{EMAIL.name}.{n}"] = partial(_examine, relay)
    except BadInput as e:
        found[EMAIL.name] = partial(_refused, e)
    if settings.carriers == "real" and settings.smtp_relays:
        found["mail addresses"] = partial(_own_addresses, settings)
    return found


async def _refused(error: BadInput) -> Finding:
    raise error


async def _examine(config: SmtpConfig) -> Finding:
    from alerting.channels.email import smtp_probe

    found = await smtp_probe.examine(config, timeout_s=CHECK_S)
    words = f"{config.host}:{config.port} lets us in"
    words += f", {found.tls}" if found.tls else ", without TLS"
    words += ", logged in" if found.logged_in else ""
    if found.certificate_days is None:
        return Finding(words)
    words += f", certificate for {found.certificate_days} days"
    soon = found.certificate_days < _SOON_DAYS
    return Finding(words, "Have its operator renew the certificate." if soon else "")


async def _own_addresses(settings: Settings) -> Finding:
    wrong = {
        name: value
        for name, value in (
            ("ALERTING_MAIL_FROM", settings.mail_from),
            ("ALERTING_MAIL_BOUNCE_DOMAIN", settings.mail_bounce_domain),
        )
        if value.rpartition("@")[2].endswith(_NOBODYS)
    }
    if wrong:
        raise AlertingError(
            f"Mails would be from {' and return to '.join(wrong.values())}, which is nobody's.",
            remedy=f"Set {' and '.join(wrong)}.",
        )
    return Finding(f"from {settings.mail_from}, back to {settings.mail_bounce_domain}")


def _is_typed_as(value: str) -> bool:
    return "@" in value


EMAIL = ChannelSpec(
    name="email",
    order=3,
    can_be_silent=True,
    # No mail wakes anybody.
    wakes=False,
    reports_delivery=False,
    parse_address=mailbox.parse,
    mask=mailbox.mask,
    is_typed_as=_is_typed_as,
    leave_link=True,
    in_mail_log=True,
    render=email_layout,
    render_digest=email_digest,
    providers=_providers,
    checks=_checks,
    read_report=_read_report,
    per_second=0,
)

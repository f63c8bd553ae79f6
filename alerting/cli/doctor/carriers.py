"""The carriers: each is asked whether it would take a message of ours, and none is sent."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

import aiohttp

from alerting.channels import registry, smtp_probe, twilio_account
from alerting.channels.email import SmtpConfig
from alerting.channels.registry import Sandbox
from alerting.channels.sms import TwilioConfig
from alerting.channels.vapid import Vapid, generate
from alerting.cli.doctor.check import ANSWER_S, Note
from alerting.clock import SystemClock
from alerting.errors import AlertingError, BadInput
from alerting.settings import Settings
from alerting.start import asked_for, on_loopback, require_fit

Look = Callable[[], Awaitable[str | Note]]

#: A certificate that runs out sooner is worth a note.
_SOON_DAYS = 14

#: What stands where nobody has said anything: nobody's address.
_NOBODYS = "example.org"


def looks(config: Settings, sandbox: Sandbox | None, vapid: bytes | None) -> dict[str, Look]:
    """What to look at, by name.

    sandbox: the stand-in carriers, where those are called. vapid: the push key, None where it is
    not known.
    """
    found: dict[str, Look] = {"carriers": partial(_carriers, config)}
    if config.carriers == "sandbox" and not asked_for(config):
        return found
    for n, account in enumerate(registry.sms_accounts(config, sandbox), 1):
        found[f"sms.{n}"] = partial(_sms, account)
    try:
        relays = registry.mail_relays(config, b"", sandbox)
    except BadInput as e:
        found["email"] = partial(_refused, e)
    else:
        for n, relay in enumerate(relays, 1):
            found[f"email.{n}"] = partial(_email, relay)
    found["push"] = partial(_push, config, vapid)
    if config.carriers == "real":
        if config.smtp_relays:
            found["mail addresses"] = partial(_mail_addresses, config)
        found["public address"] = partial(_public_address, config)
        for n, sms in enumerate(config.twilio_accounts, 1):
            if not sms.from_drill:
                found[f"sms.{n} for drills"] = _drill_sender
    return found


async def _refused(error: BadInput) -> str:
    raise error


async def _carriers(config: Settings) -> str | Note:
    require_fit(config)
    if config.carriers == "sandbox":
        found = "sandbox: nothing leaves this machine"
        if config.embedded_database:
            return found
        return Note(found, "Set ALERTING_CARRIERS=real to reach people.")
    token = config.twilio_auth_token.get_secret_value()
    if not config.twilio_account_sid and (token or config.twilio_from):
        raise AlertingError(
            "SMS is half configured.", remedy="Set ALERTING_TWILIO_ACCOUNT_SID as well."
        )
    if not config.twilio_accounts and not config.smtp_relays:
        raise AlertingError(
            "There is neither SMS nor email.",
            remedy="Set ALERTING_TWILIO_ACCOUNT_SID or ALERTING_SMTP_HOST and what they need.",
        )
    return "real"


async def _sms(config: TwilioConfig) -> str | Note:
    if not config.auth_token:
        raise AlertingError(
            f"The account {config.account_sid} has no token.",
            remedy="Set ALERTING_TWILIO…_AUTH_TOKEN.",
        )
    found = await twilio_account.examine(config, timeout_s=ANSWER_S)
    words = f"{config.account_sid} is active"
    if found.numbers:
        words += f", sends by {', '.join(found.numbers)}"
    if found.unasked:
        words += f"; cannot be asked: {', '.join(found.unasked)}"
    if found.trial:
        return Note(f"{words}; a trial account", "It reaches only numbers you have verified there.")
    return words


async def _email(config: SmtpConfig) -> str | Note:
    found = await smtp_probe.examine(config, timeout_s=ANSWER_S)
    words = f"{config.host}:{config.port} lets us in"
    words += f", {found.tls}" if found.tls else ", without TLS"
    words += ", logged in" if found.logged_in else ""
    if found.certificate_days is None:
        return words
    words += f", certificate for {found.certificate_days} days"
    if found.certificate_days < _SOON_DAYS:
        return Note(words, "Have its operator renew the certificate.")
    return words


async def _mail_addresses(config: Settings) -> str:
    wrong = {
        name: value
        for name, value in (
            ("ALERTING_MAIL_FROM", config.mail_from),
            ("ALERTING_MAIL_BOUNCE_DOMAIN", config.mail_bounce_domain),
        )
        if value.rpartition("@")[2].endswith(_NOBODYS)
    }
    if wrong:
        raise AlertingError(
            f"Mails would be from {' and return to '.join(wrong.values())}, which is nobody's.",
            remedy=f"Set {' and '.join(wrong)}.",
        )
    return f"from {config.mail_from}, back to {config.mail_bounce_domain}"


async def _push(config: Settings, vapid: bytes | None) -> str | Note:
    Vapid(vapid or generate(), config.push_contact, SystemClock())
    found = f"contact {config.push_contact}"
    if config.carriers == "real" and config.push_contact.endswith(_NOBODYS):
        return Note(
            f"{found}, which is nobody's",
            "Set ALERTING_PUSH_CONTACT: push services write there before they block a sender.",
        )
    return found


async def _public_address(config: Settings) -> str | Note:
    """Where citizens and Twilio come in. From here it may be out of reach all the same."""
    url = config.public_url
    if on_loopback(urlsplit(url).hostname or ""):
        return Note(url, "Nobody else reaches this machine by that name.")
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/healthz", allow_redirects=False) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLError) as e:
        raise AlertingError(
            f"The certificate of {url} is not accepted.", remedy="Have the proxy's renewed."
        ) from e
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Note(f"{url} does not answer from here", "See that it does from elsewhere.")
    if status != 200:
        raise AlertingError(
            f"{url}/healthz answers {status}: that is not our API.",
            remedy="Correct ALERTING_PUBLIC_URL, or what the proxy there passes on.",
        )
    return f"{url} answers"


async def _drill_sender() -> Note:
    return Note(
        "goes by the sender of real alerts",
        "A STOP to a drill would block the number that warns; …_FROM_DRILL sets another.",
    )

"""Providers: each is asked whether it would accept a message of ours; none is sent."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

import aiohttp

from alerting.channels import registry
from alerting.channels.spec import Check, Sandbox, Setup
from alerting.cli.doctor.check import ANSWER_S, Note
from alerting.errors import AlertingError
from alerting.settings import Settings
from alerting.start import asked_for, on_loopback, require_fit

Look = Callable[[], Awaitable[str | Note]]


def looks(config: Settings, sandbox: Sandbox | None, vapid: bytes | None) -> dict[str, Look]:
    """What to check, by name.

    Args:
        sandbox: The stand-in carriers, when those are used.
        vapid: The push key, None when it is unknown.
    """
    found: dict[str, Look] = {"carriers": partial(_carriers, config)}
    if config.carriers == "sandbox" and not asked_for(config):
        return found
    setup = Setup(config, vapid or b"", b"", sandbox)
    for spec in registry.specs():
        if spec.checks is not None:
            for name, check in spec.checks(setup).items():
                found[name] = partial(_of_channel, check)
    if config.carriers == "real":
        found["public address"] = partial(_public_address, config)
    return found


async def _of_channel(check: Check) -> str | Note:
    found = await check()
    return Note(found.text, found.remedy) if found.remedy else found.text


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


async def _public_address(config: Settings) -> str | Note:
    """The address where citizens and Twilio connect. It may be out of reach from here all the
    same."""
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

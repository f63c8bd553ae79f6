"""Ask a mail relay whether it would take our mails: greeting, TLS, login. No mail is sent."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import aiosmtplib

from alerting.channels.email.smtp_email import SmtpConfig
from alerting.channels.email.smtp_pool import CONNECTION_ERRORS, client
from alerting.errors import WorkFailed

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay that let us in.

    tls: the version spoken, empty where none is set. certificate_days: until its certificate runs
    out; None without TLS. logged_in: with the user and password of the settings.
    """

    tls: str
    certificate_days: int | None
    logged_in: bool


async def examine(config: SmtpConfig, *, timeout_s: float) -> Relay:
    """Raises WorkFailed, with what to do, where the relay would not take a mail of ours."""
    context = None
    if config.tls != "none":
        context = await asyncio.to_thread(ssl.create_default_context)
    relay = client(
        host=config.host,
        port=config.port,
        tls=config.tls,
        username=config.username,
        password=config.password,
        timeout_s=timeout_s,
        local_hostname=config.bounce_domain,
        tls_context=context,
    )
    try:
        await relay.connect()
        found = Relay(*_tls(relay), logged_in=bool(config.username))
        with suppress(*CONNECTION_ERRORS):
            await relay.quit()
    except CONNECTION_ERRORS as e:
        raise _why(config, e) from e
    finally:
        relay.close()
    return found


def _tls(relay: aiosmtplib.SMTP) -> tuple[str, int | None]:
    transport = cast(asyncio.Transport, relay.transport)
    spoken = transport.get_extra_info("ssl_object")
    certificate = spoken.getpeercert() if spoken is not None else None
    if not certificate:
        return "", None
    left_s = ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()
    return spoken.version(), int(left_s // _DAY_S)


def _why(config: SmtpConfig, error: BaseException) -> WorkFailed:
    where = f"{config.host}:{config.port}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return WorkFailed(
                f"The certificate of {where} is not accepted: {cause.verify_message}.",
                remedy="Have it renewed, or give ALERTING_SMTP…_HOST the name that it is for.",
            )
        cause = cause.__cause__
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return WorkFailed(
            f"{where} refuses the login ({error.code}).",
            remedy="Check ALERTING_SMTP…_USERNAME and …_PASSWORD.",
        )
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return WorkFailed(
            f"{where} turns us away: {error.code} {' '.join(error.message.split())}",
            remedy="Its operator knows which machines it lets in.",
        )
    if type(error) is aiosmtplib.SMTPException:
        # Its plain base class says one thing: the server offers no STARTTLS or no AUTH.
        return WorkFailed(
            f"{where} offers no {'login' if config.tls != 'starttls' else 'STARTTLS or login'}.",
            remedy="Check ALERTING_SMTP…_PORT and …_TLS.",
        )
    words = str(error).strip().splitlines() or [type(error).__name__]
    return WorkFailed(
        f"{where} cannot be reached: {words[0].rstrip('.')}.",
        remedy="Check ALERTING_SMTP…_HOST, …_PORT and …_TLS, and the way to it.",
    )

"""Checks before a process that sends or accepts alerts may start."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from alerting.errors import BadInput
from alerting.observe import tracing
from alerting.settings import Settings


def require_fit(settings: Settings) -> None:
    """Raise BadInput when alerts would reach nobody, or their links would lead nowhere.

    That is on a database of somebody's own with carriers that only stand in, unless
    ALERTING_CARRIERS asks for them, and with real carriers and a public address without https,
    unless all of them are on this machine, as in a rehearsal. Also where spans are to be sent and
    the packages that do it are missing.
    """
    tracing.require(settings.otlp_endpoint)
    if settings.carriers == "sandbox":
        if not asked_for(settings):
            raise BadInput(
                "DATABASE_URL names a database and ALERTING_CARRIERS is not set: alerts would go "
                "to stand-in carriers and reach nobody.",
                remedy="Set ALERTING_CARRIERS=real, or =sandbox to try things out.",
            )
        return
    if not settings.public_url.startswith("https://") and not _all_here(settings):
        raise BadInput(
            f"With real carriers ALERTING_PUBLIC_URL must be an https address that citizens and "
            f"Twilio reach; it is {settings.public_url}.",
            remedy="Set it to the address of the TLS proxy in front (docs/runbooks/start.md).",
        )


def asked_for(settings: Settings) -> bool:
    """True when the carriers were set explicitly, or the engines are the embedded ones."""
    return settings.embedded_database or "carriers" in settings.model_fields_set


def _all_here(settings: Settings) -> bool:
    carriers = [urlsplit(a.base_url).hostname or "" for a in settings.twilio_accounts]
    carriers += [relay.host for relay in settings.smtp_relays]
    # Without any there is push alone, whose services are elsewhere.
    return bool(carriers) and all(
        map(on_loopback, [*carriers, urlsplit(settings.public_url).hostname or ""])
    )


def on_loopback(host: str) -> bool:
    """True for this machine by the name or number that only it can mean."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

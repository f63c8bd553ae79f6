"""Sandbox carriers: the far end of SMS, mail and push for a machine without any contract.

They speak the carriers' own protocols (Twilio's API, SMTP, Web Push), keep their own durable logs
and show the phones at `/sandbox`. They share no code with the adapters that call them, so what
both agree on is the protocol. How to use and to hurt them: docs/sandbox.md.
"""

from __future__ import annotations

from alerting.embedded.carriers.identity import (
    CARRIERS,
    PUSH_SEED,
    SANDBOX_ACCOUNT,
    SANDBOX_TOKEN,
    Carrier,
)
from alerting.embedded.carriers.journal import log_path, read_log
from alerting.embedded.carriers.subscriptions import subscription
from alerting.settings import Settings

__all__ = [
    "CARRIERS",
    "PUSH_SEED",
    "SANDBOX_ACCOUNT",
    "SANDBOX_TOKEN",
    "Carrier",
    "log_path",
    "read_log",
    "run",
    "subscription",
]


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what was accepted by then is in the logs.

    HTTP on `sandbox_port`, SMTP on `sandbox_smtp_port`, both on `host`.

    Raises:
        BadInput: When a port is taken or the logs cannot be written.
    """
    # Workers import this package for its constants; they need none of the servers.
    from alerting.embedded.carriers.server import run as serve

    serve(settings)

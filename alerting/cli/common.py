"""Options, times, durations, sockets and the progress bar that all commands share."""

from __future__ import annotations

import re
import socket
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from alerting.errors import BadInput

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, nothing else."
)


_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}


def span(text: str) -> timedelta:
    """A duration like 90m, 2h or 3d.

    Raises:
        BadInput: When it is none.
    """
    found = re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII)
    if found is None:
        raise BadInput(f"{text[:40]!r} is not a duration.", remedy="Write it like 90m, 2h or 3d.")
    return timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])


def instant(text: str, option: str) -> datetime:
    """The time, with its offset, given to `option`.

    Raises:
        BadInput: When it is none.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadInput(
            f"{option} is no time with its offset: {text[:40]!r}.",
            remedy="Write it like 2026-11-01T18:00:00+01:00.",
        )
    return at


def shown(at: datetime) -> str:
    """An instant to the minute, with its time zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A socket bound to this address, which does not block.

    Args:
        setting: The name of the setting that gives the port.

    Raises:
        BadInput: When the address cannot be used.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as e:
        listener.close()
        raise BadInput(
            f"Port {port} on {host} cannot be used: {e.strerror}.",
            remedy=f"Stop what listens there, or set {setting} to another port.",
        ) from e
    listener.setblocking(False)
    return listener


def progress(*, quiet: bool, done: ProgressColumn | None = None) -> Progress:
    """A bar on standard error, with its task's description; none without a terminal.

    Args:
        done: Formats the progress; by default `completed/total`.
    """
    # Only long work shows it.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        done or MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    )

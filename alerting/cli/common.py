"""Options, times and durations that all commands share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from alerting.errors import BadInput

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, nothing else."
)


_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}


def span(text: str) -> timedelta:
    """A duration like 90m, 2h or 3d.

    Raises:
        BadInput
    """
    found = re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII)
    if found is None:
        raise BadInput(f"{text[:40]!r} is not a duration.", remedy="Write it like 90m, 2h or 3d.")
    return timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])


def instant(text: str, option: str) -> datetime:
    """The time with its offset given to `option`.

    Raises:
        BadInput
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

"""Instants as a citizen reads them: in their language, in the offset the sender wrote."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time

from alerting.domain.language import primary


def short(at: datetime, language: str, *, seen_from: datetime) -> str:
    """`18:00 (UTC+1)`, with the day before it unless it is the day of `seen_from`."""
    locale = _locale(language)
    time = format_time(at, "short", locale=locale)
    if at.date() != seen_from.astimezone(at.tzinfo).date():
        time = f"{format_skeleton('MMMEd', at, locale=locale)}, {time}"
    return f"{time} ({offset(at)})"


def full(at: datetime, language: str) -> str:
    """`Tuesday, 3 November 2026, 18:00 (UTC+1)`."""
    locale = _locale(language)
    day = format_date(at.date(), "full", locale=locale)
    return f"{day}, {format_time(at, 'short', locale=locale)} ({offset(at)})"


def offset(at: datetime) -> str:
    """`UTC`, `UTC+1`, `UTC+5:30`."""
    span = at.utcoffset() or timedelta()
    sign = "-" if span < timedelta() else "+"
    hours, minutes = divmod(abs(span) // timedelta(minutes=1), 60)
    if not hours and not minutes:
        return "UTC"
    return f"UTC{sign}{hours}:{minutes:02}" if minutes else f"UTC{sign}{hours}"


@lru_cache(maxsize=256)
def _locale(language: str) -> Locale:
    for tag in (language.replace("_", "-"), primary(language)):
        try:
            return Locale.parse(tag, sep="-")
        except (ValueError, UnknownLocaleError):
            continue
    return Locale.parse("en")

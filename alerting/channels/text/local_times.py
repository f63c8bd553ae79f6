"""Instants as a citizen reads them: in their language and by their own clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time

from alerting.domain.language import primary

#: A date further away than this has its year.
_NEAR = timedelta(days=300)
#: English without a country, or with one that Babel does not know, does not mean the USA.
_ENGLISH = "en_GB"
#: What a register holds for citizens whose zone it does not know.
_UNKNOWN_ZONES = frozenset({"", "UTC"})


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """A citizen's own zone; None where the register does not know it."""
    if name in _UNKNOWN_ZONES:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return None


def short(at: datetime, language: str, *, seen_from: datetime, zone: ZoneInfo | None = None) -> str:
    """`18:00`, with the day before it unless it is the day of `seen_from`, and with its year where
    that is far away.

    zone: the citizen's own. None: the time is the sender's, with its offset: `18:00 (UTC+1)`.
    """
    locale = _locale(language)
    at = at.astimezone(zone or at.tzinfo)
    time = format_time(at, "short", locale=locale)
    if at.date() != seen_from.astimezone(at.tzinfo).date():
        skeleton = "MMMEd" if abs(at - seen_from) <= _NEAR else "yMMMEd"
        time = f"{format_skeleton(skeleton, at, locale=locale)}, {time}"
    return f"{time}{_offset_of(at, zone)}"


def full(at: datetime, language: str, *, zone: ZoneInfo | None = None) -> str:
    """`Tuesday, 3 November 2026, 18:00`, with the offset where `short` has it."""
    locale = _locale(language)
    at = at.astimezone(zone or at.tzinfo)
    day = format_date(at.date(), "full", locale=locale)
    return f"{day}, {format_time(at, 'short', locale=locale)}{_offset_of(at, zone)}"


def offset(at: datetime) -> str:
    """`UTC`, `UTC+1`, `UTC+5:30`."""
    span = at.utcoffset() or timedelta()
    sign = "-" if span < timedelta() else "+"
    hours, minutes = divmod(abs(span) // timedelta(minutes=1), 60)
    if not hours and not minutes:
        return "UTC"
    return f"UTC{sign}{hours}:{minutes:02}" if minutes else f"UTC{sign}{hours}"


def _offset_of(at: datetime, zone: ZoneInfo | None) -> str:
    """Empty by the citizen's own clock, but for the hour that it shows twice in autumn."""
    if zone is not None and at.utcoffset() == at.replace(fold=1 - at.fold).utcoffset():
        return ""
    return f" ({offset(at)})"


@lru_cache(maxsize=256)
def _locale(language: str) -> Locale:
    tag = language.replace("_", "-")
    if tag.casefold() != "en":
        for wanted in (tag, primary(language)):
            try:
                return Locale.parse(wanted, sep="-") if wanted != "en" else Locale.parse(_ENGLISH)
            except (ValueError, UnknownLocaleError):
                continue
    return Locale.parse(_ENGLISH)

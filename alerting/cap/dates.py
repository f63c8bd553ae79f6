"""CAP's dates: `2026-11-01T10:00:00+01:00`, whole seconds, always an offset, UTC as `-00:00`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_STRICT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)([-+])(\d\d):(\d\d)", re.ASCII)
_LENIENT = re.compile(
    r"(\d{4})[-/](\d\d?)[-/](\d\d?)(?:T|\s+)(\d\d?):(\d\d)(?::(\d\d)([.,]\d+)?)?"
    r"\s*(?:(Z|UTC|GMT)|([-+,])(\d\d):?(\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
#: Years of the Thai calendar for 1900 to 2200.
_BUDDHIST = range(2443, 2744)
_BUDDHIST_AHEAD = 543
_FIRST_YEAR, _LAST_YEAR = 1900, 9000
_MAX_OFFSET = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date as read.

    Attributes:
        at: Aware, or naive when the text had no offset; None when it names no usable moment.
        mends: Deviations from CAP's form.
        remarks: The form was right and the meaning was not.
    """

    at: datetime | None
    mends: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def parse(text: str) -> Moment | None:
    """Read a date leniently; None when it is not a date at all."""
    text = text.strip()
    if found := _STRICT.fullmatch(text):
        *date, sign, hours, minutes = found.groups()
        return _moment([int(n) for n in date], _offset(sign, hours, minutes), ())
    if found := _LENIENT.fullmatch(text):
        *date, hour, minute, second, fraction, utc, sign, hours, minutes = found.groups()
        offset = timedelta() if utc else _offset(sign, hours, minutes or "00") if sign else None
        numbers = [int(n) for n in (*date, hour, minute, second or "00")]
        what = "a fraction of a second cut off" if fraction else "not in CAP's form"
        return _moment(numbers, offset, (f"{text!r}: {what}",))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    offset = at.utcoffset()
    numbers = [at.year, at.month, at.day, at.hour, at.minute, at.second]
    return _moment(numbers, offset, (f"{text!r}: not in CAP's form",))


def _offset(sign: str, hours: str, minutes: str) -> timedelta:
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if sign == "-" else offset


def _moment(numbers: list[int], offset: timedelta | None, mends: tuple[str, ...]) -> Moment | None:
    if offset is not None and abs(offset) > _MAX_OFFSET:
        return None
    year, month, day, hour, minute, second = numbers
    remarks: tuple[str, ...] = ()
    if year in _BUDDHIST:
        remarks = (f"year {year} is of the Buddhist era, read as {year - _BUDDHIST_AHEAD}",)
        year -= _BUDDHIST_AHEAD
    zone = None if offset is None else UTC if not offset else timezone(offset)
    # XML Schema allows midnight to be written as hour 24 of the day before.
    midnight = (hour, minute, second) == (24, 0, 0)
    try:
        at = datetime(year or 1, month, day, 0 if midnight else hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return Moment(None, mends, (f"year {year} is no time of an alert; left out",))
    return Moment(at + timedelta(days=midnight), mends, remarks)


def cap_form(at: datetime) -> str:
    """The moment as CAP writes it, to the second, in its own offset; raise ValueError if naive."""
    offset = at.utcoffset()
    if offset is None:
        raise ValueError(f"{at!r} has no offset from UTC")
    if abs(offset) > _MAX_OFFSET or offset.total_seconds() % 60:
        at, offset = at.astimezone(UTC), timedelta()
    if not offset:
        return f"{at.replace(tzinfo=None).isoformat(timespec='seconds')}-00:00"
    return at.isoformat(timespec="seconds")

"""Quiet hours and digest times on a citizen's own clock, through every change of that clock.

Quiet hours last from the first moment at which the clock shows their beginning to the last at which
it shows their end: an hour that occurs twice is quiet twice, and where the clock skips a time, the
skip counts as that time. All results are aware instants in UTC, and nothing here raises for any
content of a citizen's record.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from alerting.throttle.policy.model import Policy, within

# A citizen's clock is at most a day off UTC, and a change of the date line skips one.
_AROUND = range(-2, 4)

_Span = tuple[datetime, datetime]


def quiet_until(
    now_at: datetime, *, zone: str, start: time | None, end: time | None, policy: Policy
) -> datetime | None:
    """When the citizen's quiet hours end, if `now_at` is within them; else None.

    Args:
        start, end: The citizen's own hours; when either is missing the policy's apply. Equal times
            mean no quiet hours.
        zone: For an unknown zone, the policy's.
    """
    quiet = policy.quiet
    if start is None or end is None:
        start, end = quiet.start, quiet.end
    for begins_at, ends_at in _nights(zone, quiet.time_zone, start, end, now_at.toordinal()):
        if begins_at <= now_at < ends_at:
            return ends_at
    return None


def next_slot(
    now_at: datetime, *, zone: str, start: time | None, end: time | None, policy: Policy
) -> datetime:
    """The citizen's next digest time after `now_at`, outside their quiet hours.

    When their hours cover all of the policy's slots, the end of their quiet hours.
    """
    quiet = policy.quiet
    if start is None or end is None:
        start, end = quiet.start, quiet.end
    slots = _slots(zone, quiet.time_zone, start, end, quiet.slots, now_at.toordinal())
    return slots[bisect_right(slots, now_at)]


# Cached by day, not by minute: the results are instants to compare with, so one entry serves every
# citizen of a zone and setting for a whole day.
@lru_cache(maxsize=4096)
def _nights(zone: str, fallback: str, start: time, end: time, day: int) -> tuple[_Span, ...]:
    """The quiet spans around a day, in order, adjacent ones joined."""
    if start == end:
        return ()
    clock = _clock(zone, fallback)
    joined: list[_Span] = []
    for near in _AROUND:
        first = date.fromordinal(day + near)
        last = first if start < end else first + timedelta(days=1)
        begins_at, ends_at = _first(clock, first, start), _last(clock, last, end)
        if begins_at >= ends_at:
            continue
        if joined and begins_at <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], ends_at)
        else:
            joined.append((begins_at, ends_at))
    return tuple(joined)


@lru_cache(maxsize=4096)
def _slots(
    zone: str, fallback: str, start: time, end: time, slots: tuple[time, ...], day: int
) -> tuple[datetime, ...]:
    """The digest times around a day that are outside quiet hours, in order."""
    clock = _clock(zone, fallback)
    nights = _nights(zone, fallback, start, end, day)
    free = [slot for slot in slots if not within(slot, start, end)]
    if not free:
        return tuple(ends_at for _, ends_at in nights)
    days = [date.fromordinal(day + near) for near in _AROUND]
    instants = {_first(clock, d, slot) for d in days for slot in free}
    return tuple(sorted(a for a in instants if not any(b <= a < e for b, e in nights)))


def _first(clock: tzinfo, day: date, at: time) -> datetime:
    """The first instant at which the clock shows a time, or has skipped it."""
    return _moment(clock, day, at, fold=0)


def _last(clock: tzinfo, day: date, at: time) -> datetime:
    """The last instant at which the clock shows a time, or that at which it skips it."""
    return _moment(clock, day, at, fold=1)


def _moment(clock: tzinfo, day: date, at: time, *, fold: int) -> datetime:
    shown = datetime.combine(day, at.replace(tzinfo=None, fold=0))
    instants = [shown.replace(tzinfo=clock, fold=f).astimezone(UTC) for f in (0, 1)]
    if instants[0] <= instants[1]:
        return instants[fold]
    # The clock never shows this time; it jumps between the two readings.
    return _jump(clock, instants[1], instants[0])


def _jump(clock: tzinfo, before: datetime, after: datetime) -> datetime:
    """The instant between two at which the clock's offset changes; it is at a whole second."""
    offset = before.astimezone(clock).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        here = datetime.fromtimestamp(middle, UTC).astimezone(clock).utcoffset()
        low, high = (middle, high) if here == offset else (low, middle)
    return datetime.fromtimestamp(high, UTC)


def _clock(zone: str, fallback: str) -> tzinfo:
    return _zone(zone) or _zone(fallback) or UTC


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (LookupError, ValueError, OSError):
        return None

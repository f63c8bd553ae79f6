from __future__ import annotations

import time as timer
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alerting.throttle.policy.parse import default_policy, parse_policy
from alerting.throttle.quiet import next_slot, quiet_until, within

POLICY = default_policy()
#: Clocks that jump by an hour, by half of one, at midnight, over a whole day, and never.
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe",
    "Pacific/Apia", "Pacific/Kiritimati", "Asia/Kathmandu", "Africa/Casablanca", "Asia/Tehran",
    "America/St_Johns", "Pacific/Pago_Pago",
]  # fmt: skip

zones = st.sampled_from(ZONES)
hours = st.times().map(lambda t: t.replace(second=0, microsecond=0))
instants = st.datetimes(datetime(2010, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def quiet(
    at: datetime, zone: str = "UTC", start: time | None = None, end: time | None = None
) -> datetime | None:
    return quiet_until(at, zone=zone, start=start, end=end, policy=POLICY)


def slot(
    at: datetime, zone: str = "UTC", start: time | None = None, end: time | None = None
) -> datetime:
    return next_slot(at, zone=zone, start=start, end=end, policy=POLICY)


def local(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone))


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def steady(zone: str, at: datetime) -> bool:
    """The clock does not change for two days around an instant."""
    clock = ZoneInfo(zone)
    offsets = {(at + timedelta(hours=h)).astimezone(clock).utcoffset() for h in range(-49, 50)}
    return len(offsets) == 1


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-01 21:59", None),
        ("2026-11-01 22:00", "2026-11-02 07:00"),
        ("2026-11-02 06:59", "2026-11-02 07:00"),
        ("2026-11-02 07:00", None),
    ],
)
def test_policy_hours_on_the_local_clock(at: str, until: str | None) -> None:
    expected = None if until is None else berlin(until)
    assert quiet(berlin(at), "Europe/Berlin") == expected


def test_own_hours_override_the_policy() -> None:
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert quiet(noon, start=time(11), end=time(13)) == noon.replace(hour=13)
    night = noon.replace(hour=23)
    assert quiet(night) is not None
    assert quiet(night, start=time(11), end=time(13)) is None
    assert quiet(night, start=time(5), end=time(5)) is None, "equal times mean none"
    assert quiet(night, start=time(11)) is not None, "half an answer is none"


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Europe", "\0", "x" * 500])
def test_unknown_zone_falls_back_to_the_policy(zone: str) -> None:
    policy = parse_policy('[quiet]\ntime_zone = "Asia/Tokyo"')
    at = datetime(2026, 11, 1, 13, 30, tzinfo=UTC)  # 22:30 in Tokyo
    until = quiet_until(at, zone=zone, start=None, end=None, policy=policy)
    assert until == datetime(2026, 11, 1, 22, tzinfo=UTC)
    first = next_slot(at, zone=zone, start=None, end=None, policy=policy)
    assert local(first, "Asia/Tokyo").time() == time(8)


def test_skipped_hour_of_spring() -> None:
    """Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC."""
    jump = datetime(2026, 3, 29, 1, tzinfo=UTC)
    before, after = jump - timedelta(minutes=1), jump + timedelta(minutes=1)
    assert quiet(before, "Europe/Berlin", time(0), time(2, 30)) == jump
    assert quiet(after, "Europe/Berlin", time(0), time(2, 30)) is None
    assert quiet(before, "Europe/Berlin", time(2, 30), time(5)) is None
    assert quiet(after, "Europe/Berlin", time(2, 30), time(5)) == berlin("2026-03-29 05:00")
    assert quiet(after, "Europe/Berlin", time(2, 10), time(2, 50)) is None


def test_repeated_hour_of_autumn_is_quiet_twice() -> None:
    """Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC."""
    first, second = (datetime(2026, 10, 25, h, 15, tzinfo=UTC) for h in (0, 1))  # 02:15, twice
    end = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # the later 02:30
    between = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)  # 02:45, the first time
    for at in (first, between, second):
        assert quiet(at, "Europe/Berlin", time(22), time(2, 30)) == end
    assert quiet(end, "Europe/Berlin", time(22), time(2, 30)) is None
    assert quiet(between, "Europe/Berlin", time(2, 30), time(6)) == berlin("2026-10-25 06:00")
    assert quiet(second, "Europe/Berlin", time(2, 30), time(6)) == berlin("2026-10-25 06:00")


def test_skipped_calendar_day() -> None:
    """Apia went from 29 to 31 December 2011, skipping the 30th, at 10:00 UTC."""
    jump = datetime(2011, 12, 30, 10, tzinfo=UTC)
    until = quiet(jump - timedelta(minutes=30), "Pacific/Apia")
    assert until is not None
    assert local(until, "Pacific/Apia").isoformat() == "2011-12-31T07:00:00+14:00"
    assert local(slot(jump, "Pacific/Apia"), "Pacific/Apia").time() == time(8)


@given(instants, zones, hours, hours)
@example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Berlin", time(2), time(2, 15))
@example(datetime(2018, 2, 18, 1, 59, tzinfo=UTC), "America/Sao_Paulo", time(23), time(0))
def test_quiet_on_the_clock_is_always_quiet(
    at: datetime, zone: str, start: time, end: time
) -> None:
    until = quiet(at, zone, start, end)
    shown = local(at, zone).time()
    if within(shown, start, end):
        assert until is not None
    elif until is not None:
        assert not steady(zone, at), "only an hour that comes twice is quiet beyond the clock"


@given(instants, zones, hours, hours)
def test_quiet_hours_end_at_their_end_time(at: datetime, zone: str, start: time, end: time) -> None:
    until = quiet(at, zone, start, end)
    if until is None:
        return
    assert at < until <= at + timedelta(hours=50)
    assert quiet(until, zone, start, end) is None
    assert quiet(until - timedelta(microseconds=1), zone, start, end) == until
    if steady(zone, until):
        assert local(until, zone).time() == end


@given(instants, zones, hours, hours)
@example(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "Europe/Berlin", time(2, 10), time(2, 5))
def test_digest_slot_is_never_in_quiet_hours(
    at: datetime, zone: str, start: time, end: time
) -> None:
    free = [s for s in POLICY.quiet.slots if not within(s, start, end)]
    found = slot(at, zone, start, end)
    assert at < found <= at + timedelta(hours=50)
    assert quiet(found, zone, start, end) is None
    if steady(zone, found):
        assert local(found, zone).time() in (free or [end])


@given(instants, zones)
def test_slot_is_the_earliest_possible(at: datetime, zone: str) -> None:
    if not steady(zone, at):
        return
    clock = local(at, zone)
    today = [clock.replace(hour=s.hour, minute=0, second=0, microsecond=0) for s in
             POLICY.quiet.slots]  # fmt: skip
    coming = [t for t in (*today, today[0] + timedelta(days=1)) if t > at]
    assert slot(at, zone) == min(coming)


@given(st.text(max_size=20), hours, hours, instants)
def test_unusable_record_raises_nothing(zone: str, start: time, end: time, at: datetime) -> None:
    quiet(at, zone, start, end)
    slot(at, zone, start, None)


def test_hours_covering_every_slot_delay_to_their_end() -> None:
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert slot(at, start=time(6), end=time(20)) == at.replace(hour=20)
    assert slot(at.replace(hour=20), start=time(6), end=time(20)) == at.replace(day=2, hour=20)


def test_chunk_takes_under_two_milliseconds() -> None:
    habits = [(None, None), (time(21), time(6)), (time(23, 30), time(8))]
    chunk = [(ZONES[i % len(ZONES)], *habits[i % 3]) for i in range(1000)]
    at = datetime(2026, 11, 1, 23, tzinfo=UTC)
    best_s = 1.0
    for _ in range(20):
        start_s = timer.process_time()
        for zone, start, end in chunk:
            quiet_until(at, zone=zone, start=start, end=end, policy=POLICY)
        best_s = min(best_s, timer.process_time() - start_s)
    assert best_s < 0.002

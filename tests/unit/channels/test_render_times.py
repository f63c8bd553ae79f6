"""Times on the citizen's own clock, and which end a message names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from render_examples import ALERT, INFO, LINK, SENT, alert

from alerting.cap import read
from alerting.channels.render import render
from alerting.channels.text.local_times import full, short, zone_of
from alerting.domain.alert import Alert, NamedValue
from alerting.domain.retime import sent_now

CHANNELS = ("sms", "email", "push")


def text(which: Alert, channel: str, language: str = "en-GB", time_zone: str = "") -> str:
    return render(
        which,
        info_no=0,
        area_no=0,
        channel=channel,
        language=language,
        link=LINK,
        time_zone=time_zone,
    ).text


@pytest.mark.parametrize("channel", CHANNELS)
def test_times_of_citizen_have_no_offset(channel: str) -> None:
    made = text(ALERT, channel, time_zone="Europe/London")
    assert "17:00" in made
    assert "18:00" not in made
    assert "UTC" not in made
    assert "12:00\u202fPM" in text(ALERT, channel, "en-US", "America/New_York").replace(
        "12:00 PM", "12:00\u202fPM"
    )


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("unknown", ["", "UTC", "Nowhere/Atall", "nö", "../etc/passwd"])
def test_unknown_zone_falls_back_to_sender_offset(channel: str, unknown: str) -> None:
    assert "18:00 (UTC+1)" in text(ALERT, channel, time_zone=unknown)


@pytest.mark.parametrize(
    ("language", "clock"),
    [
        ("en", "18:00"),
        ("en-GB", "18:00"),
        ("en-XX", "18:00"),
        ("xx", "18:00"),
        ("de", "18:00"),
        ("en-US", "6:00\u202fPM"),
        ("en_US", "6:00\u202fPM"),
        ("en-AU", "6:00\u202fpm"),
    ],
)
def test_clock_follows_the_country(language: str, clock: str) -> None:
    at = datetime(2026, 11, 4, 18, tzinfo=UTC)
    assert short(at, language, seen_from=at, zone=zone_of("Atlantic/Reykjavik")) == clock


def test_date_is_shown_when_the_local_day_differs() -> None:
    sent, end = datetime(2026, 11, 3, 20, tzinfo=UTC), datetime(2026, 11, 3, 23, 30, tzinfo=UTC)
    assert short(end, "de", seen_from=sent, zone=zone_of("Europe/London")) == "23:30"
    assert short(end, "de", seen_from=sent, zone=zone_of("Europe/Berlin")) == "Mi., 4. Nov., 00:30"
    assert short(end, "de", seen_from=sent, zone=zone_of("Asia/Tokyo")) == "08:30"


def test_year_is_shown_when_far_away() -> None:
    zone = zone_of("Europe/London")
    assert short(SENT + timedelta(days=300), "en", seen_from=SENT, zone=zone) == "Mon 30 Aug, 12:00"
    far = short(SENT.replace(year=2062), "en", seen_from=SENT, zone=zone)
    assert far == "Fri, 3 Nov 2062, 11:00"


def test_repeated_hour_shows_its_offset() -> None:
    zone = zone_of("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert short(first, "de", seen_from=first, zone=zone) == "02:30 (UTC+2)"
    assert full(second, "de", zone=zone).endswith("02:30 (UTC+1)")


@pytest.mark.parametrize("channel", CHANNELS)
def test_end_of_event_is_shown_when_known(channel: str) -> None:
    ends = NamedValue("eventEndingTime", (SENT + timedelta(hours=9)).isoformat())
    made = text(alert({"parameters": (ends,)}), channel, time_zone="Europe/Berlin")
    assert "Valid until" in made
    assert "21:00" in made
    assert "18:00" not in made


@pytest.mark.parametrize(
    ("value", "until"),
    [
        ("soon", "Valid until 18:00"),
        ("2026-11-03T21:00:00", "Valid until 18:00"),
        # Over before it was sent: nobody knows what it means.
        (
            "2026-11-03T11:00:00+01:00",
            "Go to higher ground now. More",
        ),
    ],
)
def test_unusable_event_end_is_ignored(value: str, until: str) -> None:
    which = alert({"parameters": (NamedValue("eventEndingTime", value),)})
    assert until in text(which, "sms", time_zone="Europe/Berlin")


def test_event_end_moves_with_other_times() -> None:
    ends = NamedValue("eventEndingTime", (SENT + timedelta(hours=9)).isoformat())
    moved = sent_now(alert({"parameters": (ends,)}), SENT + timedelta(days=1))
    assert "Valid until 21:00" in text(moved, "sms", time_zone="Europe/Berlin")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("late_h", [0, 3])
def test_message_ending_before_onset_shows_no_end(channel: str, late_h: int) -> None:
    onset = (INFO.expires or SENT) + timedelta(hours=late_h)
    assert "until" not in text(alert({"onset": onset}), channel)


@pytest.mark.parametrize("channel", CHANNELS)
def test_watch_for_tomorrow_shows_the_event_end(channel: str, corpus: Path) -> None:
    data = (corpus / "field/expires-before-onset/fire-weather-watch.xml").read_bytes()
    which = read(data).alerts[0]
    made = text(which, channel, "en-US", "America/Chicago")
    assert "1:31" in made
    assert "12:31" not in made
    assert "28" in made.partition("Valid until ")[2]

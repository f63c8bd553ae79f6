"""Whose words stand around an alert that is not in the citizen's language."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from render_examples import SENT, alert

from alerting.cap import from_json, read, to_json, to_xml
from alerting.channels.render import render
from alerting.channels.render_digest import Part, render_digest
from alerting.channels.text.phrases import table
from alerting.channels.text.texts import fold
from alerting.dispatch.intake.cancel_notice import notice_of
from alerting.domain.alert import Alert, Area, MsgType, ResponseType, Status
from alerting.domain.segments import measure

CHANNELS = ("sms", "email", "push")
SHORT_LINK = "https://alerts.example.org/aB3dE6gH"

INSTRUCTION = (
    "Go uphill on foot to the school on Beacon Hill. Do not use the harbour tunnel or your car. "
    "Help neighbours who cannot walk."
)


def text(which: Alert, channel: str, language: str, *, still: bool = False) -> str:
    made = render(
        which,
        info_no=0,
        area_no=0,
        channel=channel,
        language=language,
        link=SHORT_LINK,
        still=still,
    )
    return f"{made.subject}\n{made.text}"


@pytest.mark.parametrize("language", ["ar", "he", "el", "uk", "bg", "hi", "ja"])
def test_english_sms_keeps_encoding_and_guidance(language: str) -> None:
    made = text(alert({"instruction": INSTRUCTION * 2}), "sms", language).strip()
    assert measure(made).encoding == "GSM-7"
    assert INSTRUCTION in made
    assert "Valid until 18:00 (UTC+1). More: " in made


@pytest.mark.parametrize("language", ["fr", "es", "de", "tr"])
def test_citizen_words_are_used_when_free(language: str) -> None:
    made = text(alert(), "sms", language)
    assert made.strip().startswith("Example River Agency")
    assert "More: " not in made
    assert measure(made.strip()).encoding == "GSM-7"


def test_alert_words_are_used_where_guidance_would_be_cut() -> None:
    """Both are in GSM-7; the citizen's words are the longer ones."""
    for length in range(300, 440):
        which = alert({"instruction": "a " * (length // 2) + "end."})
        assert "end." in text(which, "sms", "en") or "end." not in text(which, "sms", "fi")
        if "end." in text(which, "sms", "en"):
            assert "end." in text(which, "sms", "fi")


def test_email_and_push_use_citizen_words() -> None:
    for channel in ("email", "push"):
        assert "Чинне до:" in text(alert(), channel, "uk")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("language", sorted(table()))
@pytest.mark.parametrize("false_alarm", [True, False])
def test_our_cancel_is_in_citizen_language(channel: str, language: str, false_alarm: bool) -> None:
    words = table()[language]
    notice = notice_of(
        [alert({"event": "Debris flow"})],
        now=SENT + timedelta(hours=1),
        reason="Sensor fault.",
        false_alarm=false_alarm,
        valid_s=3600,
    )
    stored = from_json(to_json(read(to_xml(notice)).alerts[0]))
    made = text(stored, channel, language)
    kind = f"{words.cancelled} ({words.false_alarm})" if false_alarm else words.cancelled
    assert fold(made).lstrip().startswith(fold(f"{kind}{words.colon}"))
    sentence = words.false_alarm_note if false_alarm else words.cancel_note
    assert fold(sentence) in fold(made)
    if language not in {"ar", "bg", "el", "he", "hi", "ja", "uk"}:
        assert channel != "sms" or measure(made.strip()).encoding == "GSM-7"
    assert "Debris flow" in made
    assert "Sensor fault." in made
    if language != "en":
        assert not [w for w in ("Cancelled", "false alarm", "There is no danger") if w in made]


def test_foreign_notice_counts_only_when_it_cancels() -> None:
    notice = notice_of([alert()], now=SENT, reason="", false_alarm=True, valid_s=3600)
    made = text(replace(notice, msg_type=MsgType.UPDATE, references=()), "sms", "de")
    assert "Cancelled (false alarm)" in made


@pytest.mark.parametrize("language", sorted(table()))
def test_note_of_foreign_cancel_is_in_citizen_language(language: str) -> None:
    made = text(alert(msg_type=MsgType.CANCEL), "sms", language)
    assert fold(table()[language].cancel_note) in fold(made)


@pytest.mark.parametrize("language", sorted(table()))
@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("status", [Status.EXERCISE, Status.TEST])
def test_drill_begins_and_ends_with_no_action_needed(
    language: str, channel: str, status: Status
) -> None:
    words = table()[language]
    word = words.exercise if status is Status.EXERCISE else words.test
    note = words.exercise_note if status is Status.EXERCISE else words.test_note
    made = text(alert(status=status), channel, language).strip()
    if channel == "sms":
        label = fold(f"{word} ({words.no_action})")
        assert fold(made).startswith(label)
        assert fold(made)[:-1].endswith(f"{SHORT_LINK} {label}")
    else:
        assert made.startswith(f"{word} ({words.no_action})")
        assert made.endswith(note)


def test_correction_begins_with_its_word() -> None:
    for channel in CHANNELS:
        made = text(alert({"language": "de"}, msg_type=MsgType.UPDATE), channel, "de")
        assert made.lstrip().startswith("Aktualisiert: ")
        own = {"language": "de", "headline": "Aktualisiert: Flut"}
        made = text(alert(own, msg_type=MsgType.UPDATE), channel, "de")
        assert made.lstrip().startswith("Aktualisiert: Flut")
        assert made.count("Aktualisiert") == (2 if channel == "email" else 1)
        assert "Example River Agency" in made


def test_impact_is_added_where_it_costs_no_segment() -> None:
    dam = "The dam above the valley is failing. Water reaches the town within the hour."
    info = {"instruction": f"{INSTRUCTION} Wait there."}
    without = text(alert(info | {"description": None}), "sms", "en").strip()
    assert measure(without).count == 2
    made = text(alert(info | {"description": dam}), "sms", "en").strip()
    assert f"Wait there. {dam.partition(' Water')[0]} Valid until" in made
    assert measure(made).count == 2
    long = text(alert(info | {"description": f"{dam} {'Wet. ' * 90}"}), "sms", "en").strip()
    assert long == made
    for none_the_worse in ("Ślisko.", "Flooding is imminent.", "See https://example.org/map."):
        assert text(alert(info | {"description": none_the_worse}), "sms", "en").strip() == without


def test_impact_of_ended_danger_is_omitted() -> None:
    """An all-clear often comes with the description of the alert that it ends."""
    over = {"description": "The dam fails.", "response_types": (ResponseType.ALL_CLEAR,)}
    made = text(alert(over | {"instruction": "Go home."}, msg_type=MsgType.UPDATE), "sms", "en")
    assert "Go home. More: " in made
    assert "dam" not in made


def test_digest_in_english_keeps_encoding() -> None:
    parts = [
        Part(alert({"headline": h, "areas": (Area("North"),)}), 0, 0, SHORT_LINK)
        for h in ("Ice on roads", "Wind")
    ]
    for language in ("uk", "ja"):
        made = render_digest(parts, channel="sms", language=language, time_zone="Europe/Paris")
        assert measure(made.text).encoding == "GSM-7"
        assert "Valid until 18:00" in made.text


def test_digest_of_drills_marks_both_ends_of_each_line() -> None:
    which = alert(status=Status.TEST)
    made = render_digest([Part(which, 0, 0, SHORT_LINK)] * 2, channel="push", language="en")
    for line in made.text.splitlines():
        assert line.startswith("TEST (no action needed): ")
        assert line.endswith(". TEST (no action needed)")

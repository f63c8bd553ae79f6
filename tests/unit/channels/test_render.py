"""What holds for every channel, and the push layout."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_examples import INFO, LINK, SENT, alert, rendered

from alerting.channels.base import Outgoing, Rendering
from alerting.channels.push.web_push import payload
from alerting.channels.text.phrases import table
from alerting.domain.alert import MsgType, ResponseType, Status, Urgency
from alerting.domain.lane import Lane
from alerting.domain.segments import measure
from alerting.errors import BadInput

CHANNELS = ("sms", "email", "push")


def first_words(made: Rendering) -> tuple[str, ...]:
    """Where a citizen's eye falls first."""
    return {
        "sms": (made.text,),
        "email": (made.subject, made.text),
        "push": (made.subject,),
    }[made.channel]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("language", "word"),
    [
        ("en", "EXERCISE"),
        ("es-ES", "SIMULACRO"),
        ("fr", "EXERCICE"),
        ("de-AT", "ÜBUNG"),
        ("uk", "НАВЧАННЯ"),
        ("el", "ΑΣΚΗΣΗ"),
        ("he-IL", "תרגיל"),
        ("ar", "تمرين"),
        ("ja", "訓練"),
        ("hi", "अभ्यास"),
        ("no", "ØVELSE"),
        ("tlh", "EXERCISE"),
        ("", "EXERCISE"),
    ],
)
def test_drill_begins_with_exercise_in_reader_language(
    channel: str, language: str, word: str
) -> None:
    for msg_type in (MsgType.ALERT, MsgType.UPDATE, MsgType.CANCEL):
        which = alert(status=Status.EXERCISE, msg_type=msg_type)
        for text in first_words(rendered(which, channel, language)):
            assert text.startswith(word)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("status", [Status.TEST, Status.SYSTEM, Status.DRAFT])
@pytest.mark.parametrize("info_no", [0, -1])
def test_non_actual_alert_says_so(channel: str, status: Status, info_no: int) -> None:
    made = rendered(alert(status=status, note="Weekly"), channel, "fi", info_no=info_no)
    for text in first_words(made):
        assert text.startswith("TESTI")
        assert made.text.rstrip().endswith(("TESTI (ei vaadi toimia).", table()["fi"].test_note))


@pytest.mark.parametrize("channel", CHANNELS)
def test_actual_alert_never_says_drill(channel: str) -> None:
    made = rendered(alert(), channel)
    drill_words = {w for p in table().values() for w in (p.exercise, p.test)}
    assert not [w for w in drill_words if w in f"{made.subject} {made.text} {made.html}"]


@pytest.mark.parametrize("language", sorted(table()))
def test_drill_ends_with_no_action_needed(language: str) -> None:
    """However long its texts are, what a push service takes of it ends so."""
    long = {"instruction": "Gehen Sie nach Hause und schließen Sie die Fenster. " * 100}
    for info in ({}, long, {"instruction": "危険" * 4000}):
        made = rendered(alert(info, status=Status.TEST), "push", language)
        assert made.text.splitlines()[-1] == table()[language].test_note
        sent = payload(Outgoing(1, "", made, Lane.DRILL, "t"))
        assert sent is not None
        assert json.loads(sent)["body"] == made.text
    one = {"instruction": "", "description": "", "expires": None, "sender_name": "Flooding"}
    made = rendered(alert(one | {"areas": ()}, status=Status.TEST), "push", language)
    assert made.text == f"{INFO.headline}\n{table()[language].test_note}"


@pytest.mark.parametrize("channel", CHANNELS)
def test_drill_word_in_headline_is_not_doubled(channel: str) -> None:
    which = alert({"headline": "Exercise - Flooding"}, status=Status.EXERCISE)
    title = first_words(rendered(which, channel))[0]
    source = " (Example River Agency)" if channel == "sms" else ""
    assert title.startswith(f"EXERCISE (no action needed): Flooding{source}")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("info", "msg_type", "word"),
    [
        ({}, MsgType.CANCEL, "Aufgehoben: "),
        ({}, MsgType.UPDATE, "Aktualisiert: "),
        ({"response_types": (ResponseType.ALL_CLEAR,)}, MsgType.UPDATE, "Entwarnung: "),
        ({"urgency": Urgency.PAST}, MsgType.UPDATE, "Beendet: "),
        ({"urgency": Urgency.PAST}, MsgType.ALERT, "Beendet: "),
    ],
)
def test_later_version_begins_with_its_kind(
    channel: str, info: dict[str, object], msg_type: MsgType, word: str
) -> None:
    made = rendered(alert(info, msg_type=msg_type), channel, "de")
    assert first_words(made)[0].startswith(word)


@pytest.mark.parametrize("channel", CHANNELS)
def test_cancel_does_not_repeat_the_instruction(channel: str) -> None:
    made = rendered(alert(msg_type=MsgType.CANCEL), channel)
    assert "higher ground" not in f"{made.text} {made.html}"
    assert "until" not in made.text
    assert "An earlier alert has been cancelled." in made.text
    noted = rendered(alert(msg_type=MsgType.CANCEL, note="The dyke holds."), channel)
    assert "The dyke holds." in noted.text


@pytest.mark.parametrize("channel", CHANNELS)
def test_cancel_that_is_over_keeps_its_own_guidance(channel: str) -> None:
    over = {"urgency": Urgency.PAST, "instruction": "You may return home."}
    assert "You may return home." in rendered(alert(over, msg_type=MsgType.CANCEL), channel).text


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("note", [None, "The dyke holds."])
def test_cancel_without_infos(channel: str, note: str | None) -> None:
    which = alert(msg_type=MsgType.CANCEL, note=note)
    made = rendered(which, channel, "it", info_no=-1, area_no=-1)
    assert first_words(made)[0].startswith("Annullata: ")
    assert (note or "allerta precedente") in f"{made.subject} {made.text}"
    assert made.language == "it"


@pytest.mark.parametrize("channel", CHANNELS)
def test_headline_falls_back_to_event(channel: str) -> None:
    made = rendered(alert({"headline": None, "event": "River flood"}), channel)
    assert "River flood" in first_words(made)[0]


@pytest.mark.parametrize("channel", CHANNELS)
def test_markup_and_control_characters_are_removed(channel: str) -> None:
    info = {
        "headline": "<b>Flood</b>\r\nBcc: x\x00\u202e &amp; storm",
        "instruction": "<p>Leave.</p><ul><li>Wind &lt;50</li></ul><script>alert(1)</script>",
    }
    made = rendered(alert(info), channel)
    assert "Flood Bcc: x & storm" in first_words(made)[0]
    whole = f"{made.subject}{made.text}{made.html}"
    assert "Leave." in whole
    assert not [c for c in "\r\x00\u202e" if c in whole]
    assert "alert(1)" not in whole
    assert "\n" not in made.subject


@pytest.mark.parametrize("channel", CHANNELS)
def test_times_are_in_the_sender_offset(channel: str) -> None:
    assert "18:00 (UTC+1)" in rendered(alert(), channel).text
    later = rendered(alert({"expires": SENT.replace(day=5)}), channel, "de").text
    assert "5. Nov" in later
    assert "12:00 (UTC+1)" in later


@pytest.mark.parametrize("channel", CHANNELS)
def test_unknown_info_and_area_numbers_are_safe(channel: str) -> None:
    for info_no, area_no in ((5, 0), (0, 9), (0, -1), (-1, 3)):
        assert rendered(alert(), channel, info_no=info_no, area_no=area_no).text
    bare = {"areas": (), "sender_name": None, "description": None, "instruction": None}
    assert "agency.example" in rendered(alert(bare), channel).text


def test_unknown_channel_is_refused() -> None:
    with pytest.raises(BadInput, match="Use push, sms or email"):
        rendered(alert(), "fax")


@given(
    language=st.text(max_size=12),
    text_language=st.text(max_size=12),
    headline=st.text(max_size=300),
    text=st.text(max_size=600),
    area=st.text(max_size=200),
    channel=st.sampled_from(CHANNELS),
    status=st.sampled_from(Status),
    msg_type=st.sampled_from(MsgType),
    info_no=st.sampled_from([0, -1]),
)
def test_any_language_and_text_renders(
    language: str,
    text_language: str,
    headline: str,
    text: str,
    area: str,
    channel: str,
    status: Status,
    msg_type: MsgType,
    info_no: int,
) -> None:
    info = {
        "language": text_language,
        "headline": headline,
        "instruction": text,
        "areas": (type(INFO.areas[0])(area),),
    }
    which = alert(info, status=status, msg_type=msg_type, note=text)
    made = rendered(which, channel, language, info_no=info_no)
    assert made.text.strip()
    whole = f"{made.subject}{made.text}{made.html}"
    whole.encode()
    assert "\r" not in whole
    assert "\n" not in made.subject
    if channel == "sms":
        size = measure(made.text)
        assert size.count <= (3 if size.encoding == "GSM-7" else 4)
        assert LINK in made.text
        assert made.text.endswith(LINK) is (status is Status.ACTUAL)
        assert "\n" not in made.text
    if channel == "push":
        assert len(made.subject) <= 60


def test_push_has_source_place_guidance_and_time() -> None:
    made = rendered(alert(), "push", area_no=1)
    assert made.subject == "Flooding is imminent"
    assert made.text == (
        "Example River Agency\nExampleton marshes\nGo to higher ground now.\n"
        "Valid until 18:00 (UTC+1)"
    )
    assert (made.html, made.link, made.language) == ("", LINK, "en-GB")


def test_long_push_is_cut_at_words_with_its_time() -> None:
    long = {"headline": "Very long headline " * 10, "instruction": "word " * 500}
    made = rendered(alert(long), "push")
    assert made.subject == "Very long headline Very long headline Very long headline…"
    assert len(made.text.split()) < 220
    assert made.text.endswith("word…\nValid until 18:00 (UTC+1)")

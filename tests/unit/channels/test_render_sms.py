"""The SMS layout: what it says, in which order, and that it always fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_examples import LINK, alert, rendered

from alerting.channels.sms.sms_text import MAX_SEGMENTS
from alerting.channels.text.phrases import table
from alerting.domain.alert import Area, Status
from alerting.domain.segments import measure

HEBREW = "יש להתפנות מיד אל מקום גבוה ולהתרחק מגדות הנהר עד להודעה חדשה. "


def fits(text: str) -> bool:
    size = measure(text)
    return size.count <= MAX_SEGMENTS[size.encoding]


def test_order_is_source_hazard_place_guidance_time_link() -> None:
    assert rendered(alert(), "sms").text == (
        "Example River Agency: Flooding is imminent. Exampleton centre. "
        "Go to higher ground now. The Example river has left its banks. "
        f"Valid until 18:00 (UTC+1). More: {LINK}"
    )


def test_words_of_the_headline_are_not_repeated() -> None:
    headline = "Example River Agency: flooding in Exampleton centre"
    assert rendered(alert({"headline": headline}), "sms").text.startswith(
        f"{headline}. Go to higher ground now."
    )


def test_long_guidance_is_cut_but_time_and_link_stay() -> None:
    text = rendered(alert({"instruction": "Move upstairs, then wait. " * 60}), "sms").text
    assert measure(text).encoding == "GSM-7"
    assert measure(text).count == 3
    assert text.endswith(f"... Valid until 18:00 (UTC+1). More: {LINK}")
    assert measure(text).units > 430, "the room is used"


def test_typography_is_simplified_where_that_keeps_gsm7() -> None:
    text = rendered(alert({"headline": "“Flooding” – don’t wait…"}), "sms").text
    assert '"Flooding" - don\'t wait...' in text
    assert measure(text).encoding == "GSM-7"


def test_typography_is_kept_where_nothing_is_gained() -> None:
    text = rendered(alert({"headline": "“Повінь” – не чекайте"}), "sms", "uk").text
    assert "“Повінь” – не чекайте" in text


def test_own_words_drop_accents_only_to_keep_gsm7() -> None:
    plain = alert({"headline": "Powodz", "instruction": "Na gore."}, status=Status.EXERCISE)
    text = rendered(plain, "sms", "pl").text
    assert text.startswith("CWICZENIA (nic nie trzeba robic): ")
    assert measure(text).encoding == "GSM-7"
    accented = alert({"headline": "Powódź", "instruction": "Na górę."}, status=Status.EXERCISE)
    assert rendered(accented, "sms", "pl").text.startswith("ĆWICZENIA (")


def test_long_hebrew_stays_within_its_segments() -> None:
    info = {
        "language": "he-IL",
        "headline": "שיטפון מתקרב אל העיר",
        "instruction": HEBREW * 20,
        "areas": (Area("מרכז העיר"),),
        "sender_name": "רשות הנהר לדוגמה",
    }
    text = rendered(alert(info, status=Status.EXERCISE), "sms", "he").text
    size = measure(text)
    assert size.encoding == "UCS-2"
    assert size.count == MAX_SEGMENTS["UCS-2"]
    assert text.startswith("תרגיל (אין צורך לעשות דבר): רשות הנהר לדוגמה: שיטפון")
    assert "…" in text
    assert text.endswith(f"{LINK} תרגיל (אין צורך לעשות דבר).")


def test_long_headline_and_areas_leave_room_for_guidance() -> None:
    info = {"headline": "Повінь наближається " * 12, "areas": (Area("Прикладівський район " * 9),)}
    text = rendered(alert(info | {"instruction": "Ідіть на пагорб негайно."}), "sms", "uk").text
    assert "Ідіть на пагорб негайно." in text
    assert fits(text)


@pytest.mark.parametrize("language", sorted(table()))
def test_every_language_fits_and_ends_with_the_link(language: str) -> None:
    info = {"language": language, "instruction": HEBREW * 9, "description": "x " * 900}
    for status in Status:
        text = rendered(alert(info, status=status), "sms", language).text
        assert fits(text)
        assert LINK in text
        assert text.endswith(LINK) is (status is Status.ACTUAL)


@given(st.integers(0, 700), st.sampled_from(["a", "ї", "漢"]))
def test_link_is_whole_or_left_out(length: int, letter: str) -> None:
    link = f"https://example.org/{'x' * length}"
    info = {"headline": letter * 400, "instruction": letter * 2000}
    text = rendered(alert(info), "sms", link=link).text
    assert fits(text)
    assert text.endswith(link) or "https" not in text
    assert text.strip()


def test_sentence_end_is_not_doubled() -> None:
    text = rendered(alert({"headline": "Flood!", "instruction": "Leave. (Now.)"}), "sms").text
    assert "Flood! Exampleton centre. Leave. (Now.)" in text


def test_no_link_leaves_no_label() -> None:
    assert "More" not in rendered(alert(), "sms", link="").text

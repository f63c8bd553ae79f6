"""Cleaning and cutting texts, and writing times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.channels.text.local_times import full, offset, short
from alerting.channels.text.phrases import table
from alerting.channels.text.sentences import danger_first, sentences
from alerting.channels.text.texts import LEAVE_MARK, MOST_CHARACTERS, clean, clip, fold, one_line


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (None, ""),
        ("  a  b \r\n\r\n\r\n c ", "a b\n\nc"),
        ("one<br/>two<BR>three", "one\ntwo\nthree"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n\n- two"),
        (
            'See <a href="https://example.org/x">the map</a>.',
            "See the map (https://example.org/x).",
        ),
        ('<a href="https://example.org">https://example.org</a>', "https://example.org"),
        ("wind <50 km/h, gusts >90", "wind <50 km/h, gusts >90"),
        ("if a<b and c>d", "if a<b and c>d"),
        ("Fish &amp; chips &#8364;5", "Fish & chips €5"),
        ("R&D", "R&D"),
        ("<style>p{}</style><!-- hidden -->shown", "shown"),
        ("a\x00b\x07c\x1b[31m", "abc[31m"),
        ("a\u202eb\u2066c", "abc"),
        ("a\u2028b\x0bc\x85d", "a\nb\nc\nd"),
        ("lone \ud800 half", "lone half"),
        ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
        (f"x{LEAVE_MARK}y", "xy"),
        ("&lt;br&gt;Stay inside&lt;br/&gt;Close &amp;amp; lock", "Stay inside\nClose & lock"),
        ("Go uphill.\\nNow.\\r\\nHelp.", "Go uphill.\nNow.\nHelp."),
        (r"C:\new folder", r"C:\new folder"),
        ("# Flood\n- **Move** __uphill__", "Flood\n- Move uphill"),
        ("*** WARNING *** 1**2 a__b__c #1", "*** WARNING *** 1**2 a__b__c #1"),
        ("[the page](https://example.org/x)", "the page (https://example.org/x)"),
        ("[https://example.org](https://example.org)", "https://example.org"),
        *((nothing, "") for nothing in ("N/A", "n.a.", "None", "(null)", "-", "-----", " ... ")),
        ("None of the roads is open", "None of the roads is open"),
        ("🌊", "🌊"),
    ],
)
def test_clean_removes_markup(text: str | None, plain: str) -> None:
    assert clean(text) == plain


@pytest.mark.parametrize(
    ("instruction", "description", "first"),
    [
        ("Leave now.", "The dam fails.", "Leave now."),
        ("", "The dam fails.", "The dam fails."),
        (
            "Check [GOV.UK](https://example.org/x). Leave now.",
            "",
            "Leave now.\n\nCheck GOV.UK.",
        ),
        (
            "Follow [@rivers](https://example.org/x)",
            "# Flood\n- **Move** uphill\n- See [the page](https://example.org/flood)",
            "Flood\n\nMove uphill\n\nFollow @rivers",
        ),
        ("See https://example.org/x", "", "See https://example.org/x"),
    ],
)
def test_danger_first_orders_texts(instruction: str, description: str, first: str) -> None:
    assert danger_first(clean(instruction), clean(description)) == first


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Up to approx. 5 m at St. Ives. Leave!", ["Up to approx. 5 m at St. Ives.", "Leave!"]),
        (
            "* WHAT...Rain in\nthe hills.\n\n* WHERE...East.",
            ["WHAT...Rain in the hills.", "WHERE...East."],
        ),
        ("Stay inside\nClose windows", ["Stay inside", "Close windows"]),
        ("危険です。逃げて！", ["危険です。", "逃げて！"]),
        ('He said "go." Then left.', ['He said "go."', "Then left."]),
        ("", []),
    ],
)
def test_sentences_splits_text(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@given(st.text())
def test_sentences_lose_no_word(text: str) -> None:
    plain = clean(text)
    assert "".join("".join(sentences(plain)).split()) == "".join(
        "".join(line.lstrip("-*•") for line in plain.split("\n")).split()
    )


@given(st.text())
def test_clean_is_printable_and_stable(text: str) -> None:
    plain = clean(text)
    assert plain == plain.strip()
    assert LEAVE_MARK not in plain
    assert "\n\n\n" not in plain
    assert not [c for c in plain if c != "\n" and ord(c) < 32]
    plain.encode()
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(max_size=200), st.integers(0, 120))
def test_clip_never_exceeds_its_limit(text: str, limit: int) -> None:
    cut = clip(text, limit)
    assert len(cut) <= max(limit, 0)
    assert cut == text or cut == "" or cut.endswith("…")


def test_clip_cuts_at_words_and_keeps_characters_whole() -> None:
    assert clip("one two three", 13) == "one two three"
    assert clip("one two three", 9) == "one two…"
    assert clip("one, two three", 6) == "one…"
    assert clip("漢字漢字漢字", 4) == "漢字漢…"
    assert clip("किताबें", 3) == "कि…"
    assert clip("a👍🏽b", 3) == "a…"


def test_fold_drops_accents() -> None:
    assert fold("ÜBUNG Więcej TATBİKAT Zakończono’ Ł") == "UBUNG Wiecej TATBIKAT Zakonczono' L"


@pytest.mark.parametrize(
    ("minutes", "text"), [(0, "UTC"), (60, "UTC+1"), (-210, "UTC-3:30"), (345, "UTC+5:45")]
)
def test_offset_is_written(minutes: int, text: str) -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone(timedelta(minutes=minutes)))
    assert offset(at) == text


def test_short_names_the_day_only_when_it_differs() -> None:
    at = datetime(2026, 11, 4, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    # 23:10 UTC on the 3rd is already the 4th where the sender is.
    assert short(at, "de", seen_from=datetime(2026, 11, 3, 23, 10, tzinfo=UTC)) == "00:30 (UTC+1)"
    assert short(at, "de", seen_from=datetime(2026, 11, 3, 22, 10, tzinfo=UTC)) == (
        "Mi., 4. Nov., 00:30 (UTC+1)"
    )


@pytest.mark.parametrize("language", [*sorted(table()), "no", "de-LS", "zh-TW", "", "xx", "🦆"])
def test_full_writes_times_in_every_language(language: str) -> None:
    at = datetime(2026, 11, 4, 18, 30, tzinfo=UTC)
    for text in (short(at, language, seen_from=at), full(at, language)):
        assert "30" in text
        assert text.endswith("(UTC)")
    assert "2026" in full(at, language)


@pytest.mark.parametrize(
    "part",
    ["<a href=http://x>", "<li ", "<li" + " " * 500, "[[leave-", "link]]", " **a", "[a](http://",
     "&#" + "9" * 5_000 + ";", "<script", "<!--", "&amp;", "a"],
)  # fmt: skip
def test_endless_text_is_cut(part: str) -> None:
    text = clean("Leave now. " + part * (200_000 // len(part)))
    assert text.startswith("Leave now.")
    assert len(text) <= MOST_CHARACTERS
    assert LEAVE_MARK not in text


def test_nested_leave_mark_is_removed() -> None:
    half, rest = LEAVE_MARK[:7], LEAVE_MARK[7:]
    assert clean("x" + half * 3 + rest * 3 + "y") == "xy"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('<a href="https://x.example/a">the page</a>', "the page (https://x.example/a)"),
        ('<A HREF=https://x.example><b>https://x.example</b></A>', "https://x.example"),
        ('<a href="https://x.example">one <a href="https://y.example">two</a>',
         "one two (https://x.example)"),
        ('<a name="x">anchor</a> <a href="https://x.example">open', "anchor open"),
        ('<p class = "x" >a</p><br / >b<LI>c</li>', "a\n\nb\n- c"),
        ("wind <50 km/h, a<b and c>d, <x>", "wind <50 km/h, a<b and c>d, <x>"),
    ],
)  # fmt: skip
def test_clean_separates_elements(text: str, plain: str) -> None:
    assert clean(text) == plain

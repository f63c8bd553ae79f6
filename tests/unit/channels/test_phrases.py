"""The table of frame words is complete and sound."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.channels.text.phrases import direction, phrases, table
from alerting.channels.text.texts import LEAVE_MARK, one_line

PROMISED = {
    "en", "es", "fr", "de", "it", "pt", "nl", "pl", "uk", "ro", "sv", "fi",
    "da", "nb", "el", "cs", "hu", "bg", "tr", "ar", "he", "ja", "hi",
}  # fmt: skip
PLACEHOLDERS = {"until": "{time}", "since": "{time}", "sent": "{time}", "issued_by": "{sender}"}


def test_every_promised_language_exists() -> None:
    assert set(table()) >= PROMISED


@pytest.mark.parametrize("tag", sorted(table()))
def test_every_phrase_exists_with_its_placeholder_once(tag: str) -> None:
    for name, text in asdict(table()[tag]).items():
        assert text.strip()
        if name != "colon":
            assert one_line(text) == text
        wanted = PLACEHOLDERS.get(name)
        assert text.count("{") == text.count("}") == (1 if wanted else 0)
        assert wanted is None or wanted in text
        assert LEAVE_MARK not in text


@pytest.mark.parametrize("tag", sorted(table()))
def test_different_words_differ(tag: str) -> None:
    words = table()[tag]
    kinds = [words.exercise, words.test, words.cancelled, words.updated, words.all_clear]
    assert len({k.casefold() for k in [*kinds, words.ended]}) == 6


def test_languages_do_not_share_sentences() -> None:
    for name in ("exercise_note", "test_note", "cancel_note", "leave", "what_to_do", "until"):
        texts = [getattr(words, name) for words in table().values()]
        assert len(set(texts)) == len(texts), name


@pytest.mark.parametrize(
    ("language", "fallback", "found"),
    [
        ("de-CH", "fr", "de"),
        ("nn-NO", "en", "nb"),
        ("no", "en", "nb"),
        ("iw", "en", "he"),
        ("lb", "en", "de"),
        ("en-US", "fr", "en"),
        ("my", "fr-CA", "fr"),
        ("my", "dv", "en"),
        ("", "", "en"),
    ],
)
def test_phrases_by_language_and_fallback(language: str, fallback: str, found: str) -> None:
    assert phrases(language, fallback) is table()[found]


@given(st.text(max_size=20), st.text(max_size=20))
def test_phrases_for_any_language(language: str, fallback: str) -> None:
    assert phrases(language, fallback).language in table()


def test_direction_of_language() -> None:
    assert {tag for tag in table() if direction(tag) == "rtl"} == {"ar", "he"}
    assert direction("fa-IR") == "rtl"
    assert direction("") == "ltr"

"""The table of the pages' words is complete and sound."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from alerting.channels.text import phrases
from alerting.citizen.words import table, words_for

#: These say which address they are about.
NAMED = {"ask_note", "left", "back", "not_back"}


def test_there_are_as_many_languages_as_messages_have() -> None:
    assert set(table()) == set(phrases.table())


@pytest.mark.parametrize("tag", sorted(table()))
def test_every_word_is_there_and_names_the_address_once(tag: str) -> None:
    for name, text in asdict(table()[tag]).items():
        assert text == text.strip() != ""
        assert text.isprintable()
        assert text.count("{address}") == text.count("{") == (name in NAMED), name


def test_no_language_borrows_anothers_sentences() -> None:
    for name in asdict(table()["en"]):
        texts = [getattr(words, name) for words in table().values()]
        # Norwegians and Danes ask about exercises in the same words.
        assert len(set(texts)) == len(texts) or name in {"stop", "ask_drills", "stop_drills"}, name


def test_any_language_gets_words() -> None:
    for language in ("de-CH", "nn-NO", "", "\0", "x" * 35, "tlh"):
        assert words_for(language).language in table()
    assert words_for("nn-NO").language == "nb"
    assert words_for("tlh").language == "en"

"""The words around an alert's own text, in the citizen's language.

`phrases.json` is the table: one object per language, every field of `Phrases` in each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from alerting.domain.language import best_language, primary

RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's words. `until`, `since`, `sent` hold {time}; `issued_by` holds {sender}.

    until: says how long the message is valid, which is not how long the danger lasts.
    since: says from when the danger is expected.
    false_alarm: as it stands inside a sentence or in brackets.
    still: said with the end of one alert while another of its danger goes on.
    exercise, test: the word that stands before everything else of an alert that is not real.
    no_action: stands in brackets behind that word.
    colon: what stands between a label and its text.
    """

    language: str
    exercise: str
    exercise_note: str
    test: str
    test_note: str
    no_action: str
    cancelled: str
    cancel_note: str
    false_alarm: str
    false_alarm_note: str
    updated: str
    all_clear: str
    ended: str
    still: str
    until: str
    since: str
    sent: str
    issued_by: str
    where: str
    what_to_do: str
    contact: str
    website: str
    full_alert: str
    more: str
    leave: str
    colon: str


@lru_cache(maxsize=1)
def table() -> Mapping[str, Phrases]:
    """Every language we have words in, by tag."""
    text = resources.files("alerting.channels.text").joinpath("phrases.json").read_text("utf-8")
    return {tag: Phrases(language=tag, **words) for tag, words in json.loads(text).items()}


@lru_cache(maxsize=1024)
def phrases(language: str, fallback: str = "en") -> Phrases:
    """The words for a reader of `language`, else of `fallback` (the text's own language), else
    English. Any text serves as a language."""
    words = table()
    for wanted in (language, fallback):
        found = best_language(tuple(words), wanted)
        if found != "en" or primary(wanted) == "en":
            return words[found]
    return words["en"]


def direction(language: str) -> str:
    """`rtl` for scripts written from the right, else `ltr`."""
    return "rtl" if primary(language) in RIGHT_TO_LEFT else "ltr"

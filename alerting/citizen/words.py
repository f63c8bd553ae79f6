"""The words of the citizens' pages, in the reader's language.

`words.json` is the table: one object per language, every field of `Words` in each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from alerting.channels.text.phrases import phrases


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language. Sentences about an address contain {address}.

    Attributes:
        ask, stop, left, take_back: Of unsubscribing; `_note` is the text below.
        not_back: The unsubscription was undone, but the address is still not used.
        cancelled, superseded, expired: The banner above an alert that is not in force.
    """

    language: str
    ask: str
    ask_note: str
    stop: str
    left: str
    left_note: str
    take_back: str
    back: str
    not_back: str
    ask_drills: str
    ask_drills_note: str
    stop_drills: str
    left_drills: str
    left_drills_note: str
    not_found: str
    cancelled: str
    superseded: str
    expired: str


@lru_cache(maxsize=1)
def table() -> Mapping[str, Words]:
    """Every language, by tag: those of the frame words of messages."""
    text = resources.files("alerting.citizen").joinpath("words.json").read_text("utf-8")
    return {tag: Words(language=tag, **words) for tag, words in json.loads(text).items()}


def words_for(language: str) -> Words:
    """The words for a reader of `language`, else English. Any text serves as a language."""
    return table()[phrases(language).language]

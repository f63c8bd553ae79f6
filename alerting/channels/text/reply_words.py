"""What a citizen answers to a message: one of a few words in their language, or nothing we act on.

`reply_words.json` is the table: for each language the words and what is said to each.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

#: A word is shorter: what is longer is not looked at.
_MAX_CHARS = 64

#: Scripts whose marks may be left out in writing. In others a mark makes another letter.
_MARKS_MAY_GO = ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW")


class Wish(StrEnum):
    """What the citizen wants."""

    STOP = "stop"
    START = "start"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Reply:
    """One understood. answer: what is said to it, in the language of the word. unregistered: what
    is said to a start from a number that nothing is sent to all the same."""

    wish: Wish
    answer: str
    unregistered: str


def read(text: str) -> Reply | None:
    """What a whole message says; None for anything that is not exactly one of the words.

    Case, punctuation, accents, full-width letters and what cannot be seen make no difference. A
    word within a sentence says nothing: "we have got to stop this" is no wish to leave.
    """
    return _table().get(_plain(text)) if len(text) <= _MAX_CHARS else None


def of_wish(wish: Wish) -> Reply:
    """The same where another understood the word, and we do not know its language."""
    return _table()[wish.value]


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Reply]:
    text = resources.files("alerting.channels.text").joinpath("reply_words.json").read_text("utf-8")
    found: dict[str, Reply] = {}
    for words in json.loads(text).values():
        for wish, said in zip(Wish, ("stopped", "started", "helped"), strict=True):
            for word in words[wish]:
                # Where languages share a word the first one answers; they never differ in the wish.
                known = found.setdefault(
                    _plain(word), Reply(wish, words[said], words["unregistered"])
                )
                if known.wish is not wish:
                    raise ValueError(f"{word!r} says {known.wish} and {wish}")
    return found


def _plain(text: str) -> str:
    """The letters and digits of a text, without what people leave out or add."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ı", "i")
    return " ".join(unicodedata.normalize("NFC", "".join(_letters(folded))).split())


def _letters(text: str) -> Iterator[str]:
    may_go = False
    for c in unicodedata.normalize("NFD", text):
        kind = unicodedata.category(c)[0]
        if kind == "M":
            if not may_go:
                yield c
            continue
        may_go = unicodedata.name(c, "").startswith(_MARKS_MAY_GO)
        if kind in "LN":
            # Arabic's stretching stroke counts as a letter and is none.
            yield "" if c == "\N{ARABIC TATWEEL}" else c
        elif kind != "C":
            yield " "

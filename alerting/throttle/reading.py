"""Reading: whether a later text says anything new to its readers.

Compared is what every channel shows: the headline and the guidance. A corrected typing error is no
news; a number, a name, a direction, a "not" or a verb always is.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence

from alerting.domain.alert import Info
from alerting.domain.blank import says_nothing

#: Marks belong to their letters; in Indic scripts they are not letters of their own.
_WORD = re.compile(r"[\w\u0900-\u0dff]+")
_MARKUP = re.compile(r"</?[a-z][^<>]*>", re.I)

#: A typing error is only assumed in words of this length: `angle` and `angel` are two words.
_LETTERS = 8

#: This many words are compared; no message has room for more.
_MOST_WORDS = 2_000


def words_read(info: Info) -> tuple[str, ...]:
    """The words of the headline, then of the guidance: the instruction, else the description."""
    headline = info.event if says_nothing(info.headline) else info.headline
    guidance = info.description if says_nothing(info.instruction) else info.instruction
    words: list[str] = []
    for text in (headline, guidance):
        plain = unicodedata.normalize("NFKC", _MARKUP.sub(" ", text or ""))
        words += _WORD.findall(plain)
    return tuple(words[:_MOST_WORDS])


def text_hash(info: Info) -> bytes:
    """SHA-256 over everything a citizen may read of an info, whatever its white space."""
    texts = (
        info.event,
        info.headline,
        info.description,
        info.instruction,
        info.contact,
        info.web,
    )
    plain = [" ".join(unicodedata.normalize("NFC", text or "").split()) for text in texts]
    return hashlib.sha256(json.dumps(plain, ensure_ascii=False).encode()).digest()


def reads_alike(known: Sequence[str], new: Sequence[str]) -> bool:
    """True when the words differ at most in case, punctuation, layout and spelling."""
    return len(known) == len(new) and all(map(_alike, known, new))


def _alike(one: str, other: str) -> bool:
    return one.casefold() == other.casefold() or _misspelt(one, other) or _misspelt(other, one)


def _misspelt(one: str, other: str) -> bool:
    """True when two letters within a long word have changed places, or one is missing.

    Never in a name, and never at the beginning or end of a word, where the grammar is.
    """
    if not (one.isalpha() and one.islower() and other.islower() and len(one) >= _LETTERS):
        return False
    inside = range(1, len(one) - 2)
    return any(
        other in (f"{one[:n]}{one[n + 1]}{one[n]}{one[n + 2 :]}", f"{one[:n]}{one[n + 1 :]}")
        for n in inside
    )

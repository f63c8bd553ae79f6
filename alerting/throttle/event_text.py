"""How strongly two texts speak of one incident: by the rare words they share.

A sender reports many incidents of one kind with the same words. What tells them apart, and ties a
follow-up to its first report, are numbers and names: words that few other alerts hold. How rare a
word is, is learnt from the alerts at hand, and no sender's way of writing is known here.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from rapidfuzz import fuzz

#: So many alerts' worth of experience stands in for the first ones: how often a word of its kind
#: is found in an alert at all.
_EXPERIENCE = 50
_NUMBER_SHARE = 0.01
_WORD_SHARE = 0.10

#: A word tells nothing until it is rarer than one alert in twelve.
_COMMON = math.log(12)

#: Evidence that suffices, about that of three or four words each found in one alert of a hundred,
#: and the part of the shorter text's own evidence that must be shared.
_ENOUGH = 8.0
_SHARE = 0.3

#: What agreement is left where the numbers disagree.
_UNTOLD = 0.5

#: Texts with less of their own than this are formulas; only the same formula is the same.
_FORMULA = 6.0
_SAME_FORMULA = 0.92

_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one alert in one language. script: that of most of its letters."""

    language: str
    script: str
    text: str
    words: frozenset[str]


class Worded(Protocol):
    @property
    def words(self) -> frozenset[str]: ...


class Pool:
    """How many alerts each word was found in. Cheap to add to and to take from."""

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()
        self._alerts = 0

    def add(self, alert: Worded) -> None:
        self._found.update(alert.words)
        self._alerts += 1

    def drop(self, alert: Worded) -> None:
        """Forget an alert that was added."""
        self._found.subtract(alert.words)
        self._alerts -= 1

    def weight(self, word: str, *, but: int) -> float:
        """What finding this word in two alerts says; 0 for a common one.

        but: how many of those that hold it are the very alerts compared.
        """
        share = _NUMBER_SHARE if _telling(word) else _WORD_SHARE
        others = max(0, self._found[word] - but)
        seen = max(1, self._alerts + _EXPERIENCE)
        return max(0.0, math.log(seen / (others + _EXPERIENCE * share)) - _COMMON)


def wording(language: str, texts: Iterable[str | None]) -> Wording:
    """The words of these texts, whatever language they are in."""
    text = unicodedata.normalize("NFKC", " ".join(t for t in texts if t))[:_MOST_CHARACTERS]
    text = " ".join(text.casefold().split())
    words = set(_WORD.findall(_UNSPACED.sub(" ", text)))
    for run in _UNSPACED.findall(text):
        words |= {run[i : i + 2] for i in range(len(run) - 1)} or {run}
    return Wording(language, _script(text), text, frozenset(words))


def agreement(one: Wording, other: Wording, pool: Pool) -> float | None:
    """From 0, nothing in common, to 1, surely one incident; None where texts cannot be compared.

    Texts in two languages of one script are compared by their numbers and names alone, so there
    0 means nothing and is None.
    """
    if one.script != other.script:
        return None
    if one.text == other.text:
        return 1.0
    same_language = one.language == other.language
    shared = sum(pool.weight(w, but=2) for w in one.words & other.words)
    own = min(_own(one, pool), _own(other, pool))
    if own < _FORMULA:
        if not same_language:
            return None
        alike = fuzz.token_set_ratio(one.text, other.text) / 100
        return 1.0 if alike >= _SAME_FORMULA and _numbers_agree(one, other) else 0.0
    found = min(1.0, shared / _ENOUGH) * min(1.0, shared / own / _SHARE)
    if _contradict(one, other, pool):
        found = min(found, _UNTOLD)
    return found if same_language or found > 0 else None


def _contradict(one: Wording, other: Wording, pool: Pool) -> bool:
    """True where both name rare numbers (a house, a case, a road) and none in common."""
    ours, theirs = _numbers(one, pool), _numbers(other, pool)
    return bool(ours and theirs) and not ours & theirs


def _numbers(one: Wording, pool: Pool) -> set[str]:
    return {w for w in one.words if len(w) >= 3 and w.isdigit() and pool.weight(w, but=1) > 0}


def _own(one: Wording, pool: Pool) -> float:
    return sum(pool.weight(w, but=1) for w in one.words)


def _numbers_agree(one: Wording, other: Wording) -> bool:
    numbers = {w for w in one.words ^ other.words if any(c.isdigit() for c in w)}
    return not numbers


@lru_cache(maxsize=65536)
def _telling(word: str) -> bool:
    """Numbers of three digits and more, and what is spelt with digits, are hardly ever chance."""
    return len(word) >= 3 and any(c.isdigit() for c in word)


def _script(text: str) -> str:
    """LATIN, CYRILLIC, HEBREW …: of the letters in a text's first part the most common."""
    names = Counter(unicodedata.name(c, "?").split(" ", 1)[0] for c in text[:400] if c.isalpha())
    return names.most_common(1)[0][0] if names else ""

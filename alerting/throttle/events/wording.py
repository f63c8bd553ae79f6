"""Wording: a text of any language as words that can be compared with those of another.

Numbers are kept with the word beside them: "case 4711" and "case 4712" are two cases, while "12
hurt" and "14 hurt" may be one accident.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

#: Numbers with this many digits name things; shorter ones mostly count them.
TELLING = 3

#: The share of all events in which a word of its kind is found. Long numbers are hardly ever
#: chance; codes such as units or roads come in lists that a place's events have in common.
_LONG_NUMBER_SHARE = 0.002
_NUMBER_SHARE = 0.01
_CODE_SHARE = 0.05
_WORD_SHARE = 0.10

#: Marks belong to their letters; in Indic scripts they are not letters of their own.
_WORD = re.compile(r"[\w\u0900-\u0dff]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_DATE = re.compile(r"(19|20)\d\d((0[1-9]|1[0-2])([0-2]\d|3[01]))?")
_MOST_CHARACTERS = 20_000

#: A number that measures or counts; its value distinguishes no two dangers.
_UNITS = (
    "km/?h|kmh|kph|mph|kts?|kn|knots|m/s|mm|cm|km|mi|miles?|met(?:er|re)s?|m|ft|feet|inch(?:es)?|"
    "h(?:ou)?rs?|min|minutes?|stunden?|minuten?|heures?|horas?|minutos?|c|f|celsius|hpa|mbar|"
    "hurt|injured|dead|people|persons?|homes|houses|verletzte|tote|personen|menschen|häuser|"
    "bless[eé]s|morts|personnes|heridos|muertos|personas"
)
MEASURE = re.compile(rf"(?<![\d.,:])\d+(?:[.,]\d+)?\s?(?:%|°[cf]?|(?:{_UNITS})\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one alert in one language.

    Attributes:
        script: That of most of its letters.
        formula, words: Without the names of the place, which is compared separately; formula in
            alphabetical order and without its measures.
        numbers: By the word beside them, such as "case #" or "# high".
    """

    language: str
    script: str
    formula: str
    words: frozenset[str]
    numbers: Mapping[str, frozenset[str]]


def wording(language: str, texts: Iterable[str | None], places: Iterable[str] = ()) -> Wording:
    """The words of these texts, at most 20,000 characters of them;

    Args:
        places: Names of their areas.
    """
    text = _plain(" ".join(t for t in texts if t)[:_MOST_CHARACTERS])
    named = set(_tokens(_plain(" ".join(places)[:_MOST_CHARACTERS])))
    tokens = _tokens(text)
    words = {t for t in tokens if t not in named}
    numbers: dict[str, set[str]] = defaultdict(set)
    for before, number, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if not number.isdigit():
            continue
        labels = [f"{before} #"] * _is_name(before) + [f"# {after}"] * _is_name(after)
        for label in labels:
            numbers[label].add(number)
        if labels and len(number) >= TELLING:
            words.add(labels[0].replace("#", number))
    found = {label: frozenset(values) for label, values in numbers.items()}
    formula = sorted(t for t in _tokens(MEASURE.sub("#", text)) if t not in named)
    return Wording(language, _script(text), " ".join(formula), frozenset(words), found)


@lru_cache(maxsize=65536)
def share_of_kind(word: str) -> float:
    """The share of all events with a word of this kind, before any has been seen."""
    word = next((w for w in word.split() if w.isdigit()), word)
    if len(word) < TELLING or not any(c.isdigit() for c in word) or is_date(word):
        return _WORD_SHARE
    if not word.isdigit():
        return _CODE_SHARE
    return _NUMBER_SHARE if len(word) == TELLING else _LONG_NUMBER_SHARE


def is_date(number: str) -> bool:
    """True for a year, or a day written in one number."""
    return bool(_DATE.fullmatch(number))


def _is_name(word: str) -> bool:
    return bool(word) and not any(c.isdigit() for c in word)


def _tokens(text: str) -> list[str]:
    """Words in order; in a script without spaces, pairs of its letters."""
    tokens: list[str] = []
    for word in _WORD.findall(_UNSPACED.sub(lambda run: f" {run[0]} ", text)):
        if _UNSPACED.fullmatch(word) and len(word) > 2:
            tokens += [word[i : i + 2] for i in range(len(word) - 1)]
        else:
            tokens.append(word)
    return tokens


def _plain(text: str) -> str:
    """One spelling: compatible characters, digits of any script as ours, single spaces."""
    text = unicodedata.normalize("NFKC", text).casefold()
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    return " ".join(text.split())


def _script(text: str) -> str:
    """LATIN, CYRILLIC, HEBREW …: the most common among the letters in a text's first part."""
    names = Counter(unicodedata.name(c, "?").split(" ", 1)[0] for c in text[:400] if c.isalpha())
    return names.most_common(1)[0][0] if names else ""

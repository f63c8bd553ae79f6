"""Facts: what in an alert distinguishes its danger from others of its kind.

Names, a magnitude, times of day, long numbers and numbered things such as "salvo 2". They are read
from a text of any language. A language that capitalises every noun shows no names, and neither does
a script without capitals: there only numbers count.
"""

from __future__ import annotations

import calendar
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from alerting.throttle.events.text import Pool
from alerting.throttle.events.wording import MEASURE, TELLING, is_date
from alerting.throttle.hazard import names_kind

_MOST_CHARACTERS = 20_000
_MOST_NAMES = 200

#: Capitalised words; a small letter, a comma or a bracket before the first.
_CAPITAL = "[A-ZÀ-ÞА-ЯҐЄІЇΑ-Ω][a-zà-ÿа-яґєіїα-ωά-ώ]{2,}"
_NAME = re.compile(rf"(?<=[a-zà-ÿа-яґєіїα-ωά-ώ,(] ){_CAPITAL}(?:[ -]{_CAPITAL})*")
_NOUNS_LOOK_LIKE_NAMES = frozenset({"de", "lb"})
_AGENCY = re.compile(
    r"agenc|amt\b|authorit|board|brigad|bureau|cent(?:er|re|ro)|council|department|dienst|office|"
    r"minist|polic|préfect|protec|protez|serv[ií]|survey|бюро|служб|міністер|министер"
)
_DATES = frozenset(n.casefold() for n in (*calendar.day_name, *calendar.month_name) if n)

_WORD = re.compile(r"[^\W_]+")
_CLOCK = re.compile(
    r"(?<![\d:.,])([01]?\d|2[0-3])(?:[:h]([0-5]\d)|\.([0-5]\d)(?= ?uhr))(?!\d)(?: ?([ap])\.?m\b)?"
)

#: In a text about an earthquake a number such as 5.1, or the one after a word for magnitude.
_MAGNITUDE = re.compile(
    r"(?<![\d.,])(\d[.,]\d)(?![.,]?\d|\s?[°ewns]\b)"
    r"|(?:\bm[wlbs]{0,2}|\bmagn\w*|stärke|\bмагн\w*|震级|マグニチュード|規模)(?: of| de| von|:)?\s?"
    r"(\d)(?![\d.,]*\d)"
)
_NUMBERED = re.compile(r"\b([^\W\d_]{2,})[ #:.-]{1,3}(\d{1,6})(?![.,:h]?\d)")
_ORDINAL = re.compile(
    r"\b(?:(\d+)(?:st|nd|rd|th|e|ème|\.)|(first|erste\w?|premi[eè]re?|primer[ao]?)"
    r"|(second|zweite\w?|seconde?|deuxième|segund[ao])|(third|dritte\w?|troisième|tercer[ao]?)) "
    r"([^\W\d_]{3,})"
)

#: Which fire it is: a warehouse fire is no canyon fire.
_WHICH = re.compile(r"\b([^\W\d_]{4,}) (fire)s?\b")

#: Two networks may differ this much about one earthquake's magnitude, and this much about its time.
_MAGNITUDES_APART = 0.35
_MINUTES_APART = 1

#: A name found in this share of events distinguishes nothing, once this many are known.
_COMMON = 0.1
_KNOWN = 20


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one alert.

    Attributes:
        words: All of the text, to find another's names in.
        numbered: By what is numbered or named, such as a salvo or a fire, which of them it is.
        again: It mentions a second of something.
    """

    names: frozenset[str]
    words: frozenset[str]
    magnitude: float | None
    minutes: frozenset[int]
    numbers: frozenset[str]
    numbered: Mapping[str, frozenset[str]]
    again: bool


def facts(texts: Iterable[tuple[str, str]], *, hazards: Collection[str]) -> Facts:
    """The facts of an alert's texts, each with its language; bounded work however long they are."""
    names: set[str] = set()
    words: set[str] = set()
    minutes: set[int] = set()
    numbers: set[str] = set()
    numbered: dict[str, set[str]] = defaultdict(set)
    magnitude, again = None, False
    for language, raw in texts:
        if language not in _NOUNS_LOOK_LIKE_NAMES:
            names |= _names(raw[:_MOST_CHARACTERS])
        # A measurement changes from one report to the next, and between agencies.
        text = MEASURE.sub("", raw[:_MOST_CHARACTERS].casefold())
        words.update(_WORD.findall(text))
        minutes.update(_minutes(*found) for found in _CLOCK.findall(text))
        if magnitude is None and not {"earthquake", "tsunami"}.isdisjoint(hazards):
            first = _MAGNITUDE.search(text)
            magnitude = float((first[1] or first[2]).replace(",", ".")) if first else None
        rest = _CLOCK.sub("", text)
        for label, number in _NUMBERED.findall(rest):
            numbered[label].add(number)
        for digits, one, two, _three, label in _ORDINAL.findall(rest):
            numbered[label].add(digits or ("1" if one else "2" if two else "3"))
            again |= not one and digits != "1"
        for which, label in _WHICH.findall(rest):
            numbered[label].add(which)
        numbers |= {n for n in re.findall(r"\d+", rest) if len(n) >= TELLING and not is_date(n)}
    found = {label: frozenset(values) for label, values in numbered.items()}
    return Facts(
        frozenset(sorted(names)[:_MOST_NAMES]),
        frozenset(words),
        magnitude,
        frozenset(minutes),
        frozenset(numbers),
        found,
        again,
    )


def shared(one: Facts, other: Facts, pool: Pool, *, places: Collection[str]) -> list[str]:
    """What two alerts both say that identifies a danger, in words.

    Args:
        places: Words of the names of their areas, which all dangers there have in common.
    """
    found = [n for n in sorted(one.names | other.names) if _in(n, one) and _in(n, other)]
    found = [n for n in found if _identifies(n, pool, places)]
    if _close(one.magnitude, other.magnitude):
        found.append(f"magnitude {one.magnitude:g}")
    if _meet(one.minutes, other.minutes):
        found.append("the time of day")
    numbers = sorted(one.numbers & other.numbers)
    # However many numbers: they may all be parts of one telephone number.
    return found + [f"the number {n}" for n in numbers[:1]]


def own_names(one: Facts, other: Facts, *, places: Collection[str]) -> set[str]:
    """The names in one alert that are not in the other."""
    return {n for n in one.names if not _in(n, other) and not set(_WORD.findall(n)) <= set(places)}


def contradiction(one: Facts, other: Facts) -> str:
    """What distinguishes two dangers, in words; empty when nothing does."""
    if magnitudes_differ(one, other):
        return f"magnitudes {one.magnitude:g} and {other.magnitude:g}"
    if one.minutes and other.minutes and not _meet(one.minutes, other.minutes):
        return "other times of day"
    for label in sorted(one.numbered.keys() & other.numbered.keys()):
        if not one.numbered[label] & other.numbered[label]:
            return f"another {label}"
    return ""


def magnitudes_differ(one: Facts, other: Facts) -> bool:
    """True for two earthquakes of different magnitude."""
    known = one.magnitude is not None and other.magnitude is not None
    return known and not _close(one.magnitude, other.magnitude)


def _names(raw: str) -> set[str]:
    """Names of one word or several; not dates, and not words written small elsewhere."""
    small = {word for word in _WORD.findall(raw) if word.islower()} | _DATES
    found = {name.casefold() for name in _NAME.findall(raw)}
    return {name for name in found if not set(_WORD.findall(name)) <= small}


def _in(name: str, text: Facts) -> bool:
    return name in text.names or text.words.issuperset(_WORD.findall(name))


def _identifies(name: str, pool: Pool, places: Collection[str]) -> bool:
    """False for the area's own name, for agencies and kinds of danger, and for names common to many
    events."""
    words = _WORD.findall(name)
    if set(words) <= set(places) or names_kind(name) or _AGENCY.search(name):
        return False
    return len(pool) < _KNOWN or min(map(pool.share, words)) < _COMMON


def _close(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) < _MAGNITUDES_APART


def _meet(one: frozenset[int], other: frozenset[int]) -> bool:
    return any(abs(a - b) <= _MINUTES_APART for a in one for b in other)


def _minutes(hour: str, minute: str, dotted: str, half: str) -> int:
    at = int(hour) % 12 + 12 * (half == "p") if half else int(hour)
    return at * 60 + int(minute or dotted)

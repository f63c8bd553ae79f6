"""The values inside CAP elements: words of a closed list, times, pairs, numbers, addresses.

Each function reads one named child of a `Bag` and notes there whatever it repaired.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote

from lxml import etree

from alerting.cap import dates
from alerting.cap.elements import Bag
from alerting.cap.report import CapError
from alerting.domain.alert import NamedValue
from alerting.domain.nearest import nearest

# Only libxml2 itself agrees with libxml2 on what an address is.
_ANY_URI = """<schema xmlns="http://www.w3.org/2001/XMLSchema">
<element name="u" type="anyURI"/></schema>"""
_KEPT = "!#$%&'()*+,-./:;=?@_~"


@lru_cache(maxsize=1)
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.fromstring(_ANY_URI))


def is_uri(text: str) -> bool:
    element = etree.Element("u")
    element.text = text
    return bool(_schema().validate(element))


def as_uri(text: str) -> str | None:
    """The text as an address: unchanged, else escaped, else None."""
    if is_uri(text):
        return text
    escaped = quote(text, safe=_KEPT)
    return escaped if is_uri(escaped) else None


E = TypeVar("E", bound=StrEnum)

DEFAULT_LANGUAGE = "en-US"

#: The remedy for a time that cannot be read.
LIKE = "Write it like 2026-11-01T10:00:00+01:00."

#: Words seen instead of CAP's values, in lower-case letters and digits only. Only unambiguous
#: words: a severity of "High" is not translated, because nobody knows to which.
_ALIASES: dict[str, Mapping[str, str]] = {
    "category": {
        "meteorological": "Met",
        "meteorology": "Met",
        "weather": "Met",
        "geophysical": "Geo",
        "geological": "Geo",
        "publicsafety": "Safety",
        "environment": "Env",
        "environmental": "Env",
        "transportation": "Transport",
        "infrastructure": "Infra",
        "cbrn": "CBRNE",
    },
    "certainty": {"verylikely": "Likely", "probable": "Likely"},
}
_LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")
_INTEGER = re.compile(r"[-+]?\d{1,18}", re.ASCII)
# As many digits as any float can have.
_DECIMAL = re.compile(r"[-+]?(?:\d{1,308}(?:\.\d{0,1100})?|\.\d{1,1100})", re.ASCII)


def required(bag: Bag, kind: type[E], name: str, whose: str) -> E:
    """A value that is never guessed.

    Raises:
        CapError: Naming the alert, when it cannot be read.
    """
    text = bag.sole(name, whose, word=True)
    # Another case is still that word; anything more would be a guess.
    value = next((v for v in kind if text.isascii() and text.lower() == v.lower()), None)
    if value is None:
        said = f"{name} {text[:40]!r}" if text else f"no {name}"
        raise CapError(
            f"The {whose} has {said}, which is never guessed.",
            remedy=f"{name} takes one of {', '.join(kind)}.",
        )
    if text != value:
        bag.notes.repair(bag.path(name), f"{text!r} read as {value}")
    return value


def graded(bag: Bag, kind: type[E], name: str) -> E:
    """A value of urgency, severity or certainty; each of them has an Unknown."""
    text = bag.text(name) or ""
    value = _value(bag, kind, name, text, bag.path(name))
    if value is None:
        said = f"{text[:40]!r}" if text else "missing"
        bag.notes.repair(bag.path(name), f"{said}; read as Unknown")
        bag.notes.ask(bag.path(name), _none_of_caps(text), meant(text, name, kind))
    return value or kind("Unknown")


def _none_of_caps(text: str) -> str:
    return f"{text[:40]!r} is not a CAP value" if text else "missing"


def meant(text: str, name: str, kind: Iterable[str]) -> str:
    """A suggestion for a mistyped word of a closed list, else the whole list."""
    close = nearest(text[:40], kind)
    return f"Did you mean {close}?" if close else f"{name} takes one of {', '.join(kind)}."


def several(bag: Bag, kind: type[E], name: str, otherwise: E | None = None) -> tuple[E, ...]:
    """Every value of a repeatable element; `otherwise` replaces a word that is not one of CAP's.

    Without it such a word is left out, and a person is asked to correct it.
    """
    found = []
    for number, text in enumerate(bag.texts(name), 1):
        where = bag.path(name, number)
        value = _value(bag, kind, name, text, where)
        if value is None:
            value = otherwise if text else None
            what = f"read as {value}" if value else "left out"
            bag.notes.repair(where, f"{text[:40]!r} is none of CAP's; {what}")
            if text and otherwise is None:
                bag.notes.ask(where, _none_of_caps(text), meant(text, name, kind))
        if value is not None:
            found.append(value)
    return tuple(found)


def _value(bag: Bag, kind: type[E], name: str, text: str, where: str) -> E | None:
    try:
        return kind(text)
    except ValueError:
        word = plain(text)
    known = {plain(member): str(member) for member in kind} | dict(_ALIASES.get(name, {}))
    if word not in known:
        return None
    bag.notes.repair(where, f"{text[:40]!r} read as {known[word]}")
    return kind(known[word])


def plain(text: str) -> str:
    """A word without case, blanks and punctuation, for comparison."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def language(bag: Bag) -> str:
    """The language of an info; where it says none, CAP's default."""
    text = bag.text("language")
    if text is None and bag.lang:
        bag.notes.repair(bag.path("language"), "taken from the attribute lang")
        text = bag.lang
    if not text or is_language(text):
        return text or DEFAULT_LANGUAGE
    mended = text.replace("_", "-")
    if not is_language(mended):
        mended = "und"
    bag.notes.repair(bag.path("language"), f"{text[:40]!r} read as {mended}")
    return mended


def is_language(text: str) -> bool:
    return bool(_LANGUAGE.fullmatch(text))


def moment(bag: Bag, name: str, zone: tzinfo | None) -> datetime | None:
    """A time; `zone` is the offset of the alert's other times, for one written without."""
    text = bag.text(name)
    if text is None:
        return None
    where = bag.path(name)
    found = dates.parse(text)
    if found is None:
        bag.notes.repair(where, f"{text[:60]!r} is no time; left out")
        if text:
            bag.notes.ask(where, f"{text[:60]!r} is no time", LIKE)
        return None
    bag.notes.repair(where, *found.mends)
    bag.notes.remark(where, found.remarks)
    if found.at is None or found.at.tzinfo is not None:
        return found.at
    said = "read as UTC" if zone is None else "given that of the alert's other times"
    bag.notes.repair(where, f"no offset from UTC; {said}")
    at = found.at.replace(tzinfo=zone or UTC)
    likely = f"Did you mean {dates.cap_form(at)}?" if zone else LIKE
    bag.notes.ask(where, f"{text[:60]!r} has no offset from UTC", likely)
    return at


def uri(bag: Bag, name: str) -> str | None:
    """A web address, escaped if that makes it valid."""
    text = bag.text(name)
    if not text:
        return None
    address = as_uri(text)
    if address != text:
        done = "left out" if address is None else "escaped"
        bag.notes.repair(bag.path(name), f"{text[:60]!r} is no web address; {done}")
    return address


def integer(bag: Bag, name: str) -> int | None:
    text = bag.text(name)
    if text is None or _INTEGER.fullmatch(text):
        return None if text is None else int(text)
    bag.notes.repair(bag.path(name), f"{text[:40]!r} is no whole number; left out")
    return None


def number(bag: Bag, name: str) -> float | None:
    text = bag.text(name)
    if text is None or _DECIMAL.fullmatch(text):
        return None if text is None else float(text)
    bag.notes.repair(bag.path(name), f"{text[:40]!r} is no number; left out")
    return None


def pairs(parent: Bag, name: str) -> tuple[NamedValue, ...]:
    """The name and value of every eventCode, parameter or geocode."""
    found: list[NamedValue] = []
    for at, element in enumerate(parent.all(name), 1):
        where = parent.path(name, at)
        if len(element) == 0:
            key, equals, value = (element.text or "").strip().partition("=")
            if equals:
                found.append(NamedValue(key.strip(), value.strip()))
            done = "in the form of CAP 1.0" if equals else "neither name nor value; left out"
            parent.notes.repair(where, done)
            continue
        bag = Bag(element, "pair", where, parent.notes)
        keys, values = bag.texts("valueName"), bag.texts("value")
        if len(keys) != 1 or len(values) != 1:
            parent.notes.repair(where, f"{len(keys)} names and {len(values)} values; paired")
        most = max(len(keys), len(values))
        keys += [""] * (most - len(keys))
        values += [""] * (most - len(values))
        found += [NamedValue(k, v) for k, v in zip(keys, values, strict=True)]
    return tuple(found)

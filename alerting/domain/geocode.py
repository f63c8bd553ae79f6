"""What a geocode means: which holders of geocodes live where an alert names one.

Registers and senders spell the same code in several ways, and some codes hold others: a state its
counties. Both are brought to one key, and a geocode of an alert is a range of keys. PostgreSQL
makes the same keys of what the register holds (`geocode_key`, migration 0014).
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from alerting.domain.alert import NamedValue

#: Sorts after every character of a code.
_ABOVE = "~"
#: A longer value is not a code, and an index cannot hold it.
_LONGEST = 500
#: With more codes in one value, the value is treated as one text.
_MOST = 2_000

_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_NAME = str.maketrans(string.ascii_lowercase, string.ascii_uppercase, " _-")
#: FIPS6 is the older name of the same codes.
_SAME = frozenset({"SAME", "FIPS6", "FIPS"})
_DIGITS = re.compile(r"[0-9]{1,6}")
_PART = re.compile(r"[1-9][0-9]{5}")
_UGC_STATE = re.compile(r"([A-Z]{2})[CZ](?:000|ALL)")
_APART = re.compile(r"[\s,;]+")
_CODE = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9._:/-]+", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class KeyRange:
    """Keys from `low` to `high`, both included, compared as bytes."""

    low: str
    high: str

    def holds(self, key: str) -> bool:
        return self.low <= key <= self.high


def key_of(code: NamedValue) -> str:
    """The key of a geocode that a citizen holds.

    Names differ neither by case nor by blanks, _ and -; values not by case. A SAME code is its
    county: its first digit says which part of it, and spreadsheets drop the zeros before it.
    """
    name, value = _name(code), _value(code.value)
    if name in _SAME and _DIGITS.fullmatch(value):
        return f"SAME {value.rjust(5, '0')[-5:]}"
    return f"{name} {value}"


def ranges(code: NamedValue) -> list[KeyRange]:
    """What an alert's geocode means, as ranges of keys: each code of a list, all counties of a
    state, or the nation."""
    found = dict.fromkeys(_range(NamedValue(code.name, value)) for value in _listed(code.value))
    return list(found)


def named_by(codes: Iterable[NamedValue], others: Iterable[NamedValue]) -> bool:
    """True when everything that `codes` name lies in what `others` name.

    A part of a county contains only itself, although everybody in the county is notified of it.
    """
    named = set(others)
    known = {r for other in named if not _is_part(other) for r in ranges(other)}
    wide = [r for r in known if r.low != r.high]
    return all(
        code in named
        or all(
            r in known or any(w.low <= r.low and r.high <= w.high for w in wide)
            # For a list its codes count; the list as one text only when it has none.
            for r in ranges(code)[1:] or ranges(code)
        )
        for code in codes
    )


def overlap(one: Iterable[KeyRange], other: Iterable[KeyRange]) -> bool:
    """True where a key is in both. The order of what is given does not matter."""
    reached = ["", ""]
    for r, side in sorted([*((r, 0) for r in one), *((r, 1) for r in other)]):
        if r.low <= reached[1 - side]:
            return True
        reached[side] = max(reached[side], r.high)
    return False


def _is_part(code: NamedValue) -> bool:
    return _name(code) in _SAME and any(_PART.fullmatch(v) for v in _listed(code.value))


def _range(code: NamedValue) -> KeyRange:
    key = key_of(code)
    name, _, value = key.partition(" ")
    if name == "SAME" and value == "00000":
        return KeyRange(f"{name} ", f"{name} {_ABOVE}")
    if name == "SAME" and value.endswith("000") and value.isdigit():
        return KeyRange(f"{name} {value[:2]}", f"{name} {value[:2]}{_ABOVE}")
    if name == "UGC" and (state := _UGC_STATE.fullmatch(value)):
        return KeyRange(f"{name} {state[1]}", f"{name} {state[1]}{_ABOVE}")
    return KeyRange(key, key)


def _listed(value: str) -> Iterator[str]:
    """The value, and where it is a list of codes each of them."""
    yield value
    parts = [part for part in _APART.split(value, _MOST) if part]
    if 1 < len(parts) <= _MOST and all(_CODE.fullmatch(part) for part in parts):
        yield from parts


def _name(code: NamedValue) -> str:
    return code.name.translate(_NAME)


def _value(value: str) -> str:
    return value.strip(" ")[:_LONGEST].translate(_UPPER)

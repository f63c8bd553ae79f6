"""Spellings of one code have one key, and a code that holds others is a range of keys."""

from __future__ import annotations

import pytest

from alerting.domain.alert import NamedValue
from alerting.domain.geocode import key_of, named_by, ranges


def meets(asked: str, held: str) -> bool:
    name, _, value = asked.partition("=")
    mine, _, code = held.partition("=")
    return any(r.holds(key_of(NamedValue(mine, code))) for r in ranges(NamedValue(name, value)))


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        ("SAME=048001", "SAME=048001"),
        ("SAME=000000", "SAME=048001"),
        ("SAME=048000", "SAME=048001"),
        ("SAME=148001", "SAME=048001"),
        ("SAME=048001", "SAME=148001"),
        ("SAME=148000", "SAME=048001"),
        ("SAME=48001", "SAME=048001"),
        ("SAME=006015", "SAME=6015"),
        ("SAME=006000", "SAME=6015"),
        ("FIPS6=048001", "SAME=048001"),
        ("same=048001", "SAME=048001"),
        ("SAME=048001", "same=048001"),
        ("SAME=048001 048003", "SAME=048003"),
        ("SAME=048001,048003", "SAME=048003"),
        ("UGC=TXC001; TXC003", "UGC=TXC003"),
        ("UGC=TXC000", "UGC=TXC001"),
        ("UGC=TXC000", "UGC=TXZ211"),
        ("UGC=TXZALL", "UGC=TXZ211"),
        ("ugc=txc001", "UGC=TXC001"),
        ("EMMA_ID=nl904", "EMMA_ID=NL904"),
        ("emma-id=NL904", "EMMA_ID=NL904"),
        ("Ward=Upper Ford", "ward=upper ford"),
    ],
)
def test_meets_spellings_and_nested_codes(asked: str, held: str) -> None:
    assert meets(asked, held)


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        ("SAME=048001", "SAME=048003"),
        ("SAME=006000", "SAME=060010"),
        ("SAME=048000", "SAME=049001"),
        ("SAME=148001", "SAME=048003"),
        ("UGC=TXC001", "UGC=TXZ001"),
        ("UGC=TXC000", "UGC=TNC001"),
        ("EMMA_ID=NL904", "EMMA_ID=NL9041"),
        ("EMMA_ID=NL904", "NUTS3=NL904"),
        ("SAME=048001", "AGS=048001"),
        ("AGS=000000", "AGS=048001"),
        ("Ward=Upper Ford", "Ward=Ford"),
        ("Ward=3 Mill Lane", "Ward=3"),
    ],
)
def test_meets_no_other_codes(asked: str, held: str) -> None:
    assert not meets(asked, held)


def test_ranges_are_bounded() -> None:
    assert len(ranges(NamedValue("SAME", " ".join(f"{n:06}" for n in range(1000))))) == 1001
    assert len(ranges(NamedValue("SAME", "1 " * 1_000_000))) == 1


@pytest.mark.parametrize(
    ("older", "newer", "held"),
    [
        ("SAME=048001", "SAME=048001", True),
        ("SAME=048001", "same=48001", True),
        ("SAME=048001", "SAME=048000", True),
        ("SAME=048001 048003", "SAME=048003 048001 048005", True),
        ("SAME=048001", "FIPS6=000000", True),
        ("UGC=TXC001", "UGC=TXC000", True),
        ("SAME=148001", "SAME=048001", True),
        ("SAME=148001", "SAME=148001", True),
        ("SAME=048000", "SAME=048001", False),
        ("SAME=048001 048003", "SAME=048001", False),
        ("SAME=048001", "SAME=148001", False),
        ("SAME=148001", "SAME=248001", False),
        ("UGC=TXC001", "UGC=TXZ001", False),
    ],
)
def test_named_by_nested_codes(older: str, newer: str, held: bool) -> None:
    parts = (older.partition("="), newer.partition("="))
    mine, theirs = (NamedValue(name, value) for name, _, value in parts)
    assert named_by([mine], [theirs]) is held

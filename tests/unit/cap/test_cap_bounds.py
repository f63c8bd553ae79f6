"""What is too large is refused with a sentence; what is large and real is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alerting.cap import CapError, read, to_xml
from alerting.cap.refusal import (
    LONGEST_VALUE,
    MOST_ELEMENTS,
    MOST_REFERENCES,
    refuse_costly,
    refuse_large,
)
from alerting.domain.alert import Alert, Area, Circle, NamedValue, Reference

FLOOD = Path(__file__).parents[3].joinpath("examples", "flood.xml").read_bytes()


@pytest.fixture
def flood() -> Alert:
    return read(FLOOD).alerts[0]


def with_areas(alert: Alert, *areas: Area) -> Alert:
    return replace(alert, infos=(replace(alert.infos[0], areas=areas),))


def test_example_is_within_bounds(flood: Alert) -> None:
    refuse_costly(FLOOD)
    refuse_large(flood)


def test_too_many_references_are_refused(flood: Alert) -> None:
    many = tuple(Reference(flood.sender, f"a-{n}", flood.sent) for n in range(MOST_REFERENCES))
    refuse_large(replace(flood, references=many))
    with pytest.raises(CapError, match="has 501 references; at most 500"):
        refuse_large(replace(flood, references=(*many, flood.triple)))


def test_too_many_senders_in_references_are_refused(flood: Alert) -> None:
    many = tuple(Reference(f"s{n}@example.org", "a", flood.sent) for n in range(51))
    with pytest.raises(CapError, match="51 senders in its references"):
        refuse_large(replace(flood, references=many))


def test_too_many_different_areas_are_refused(flood: Alert) -> None:
    same = [Area(f"Part {n}", circles=(Circle(50, 8, 1),)) for n in range(2_500)]
    refuse_large(with_areas(flood, *same))
    other = [Area(f"Part {n}", circles=(Circle(50, n / 100, 1),)) for n in range(1_001)]
    with pytest.raises(CapError, match="1,001 different areas"):
        refuse_large(with_areas(flood, *other))


def test_too_long_values_are_refused(flood: Alert) -> None:
    circle = (Circle(50, 8, 1),)
    for ok in ("Lower Port, " * 250, "x" * LONGEST_VALUE):
        refuse_large(with_areas(flood, Area(ok, circles=circle)))
    with pytest.raises(CapError, match="areaDesc of 20,001 characters"):
        refuse_large(with_areas(flood, Area("x" * (LONGEST_VALUE + 1), circles=circle)))
    code = NamedValue("UGC", "TXC001 " * 5_000)
    with pytest.raises(CapError, match="a geocode of 35,000 characters"):
        refuse_large(with_areas(flood, Area("x", geocodes=(code,))))


def test_too_long_texts_are_refused(flood: Alert) -> None:
    long = replace(flood, infos=(replace(flood.infos[0], description="word " * 60_001),))
    with pytest.raises(CapError, match="characters in its texts; at most 300,000"):
        refuse_large(long)


@pytest.mark.parametrize("name", [b"example-flood-0001", b"centre@example.org"])
def test_too_long_names_are_refused(name: bytes) -> None:
    read(FLOOD.replace(name, b"n" * 300))
    with pytest.raises(CapError, match=r"of 301 characters; at most 300 are taken\. Shorten it"):
        read(FLOOD.replace(name, b"n" * 301))


def test_elements_are_counted_before_parsing() -> None:
    inside = b"<parameter/>" * (MOST_ELEMENTS + 1)
    with pytest.raises(CapError, match="elements; at most 8,000"):
        refuse_costly(FLOOD.replace(b"</info>", inside + b"</info>", 1))


def test_elements_are_counted_in_any_encoding(flood: Alert) -> None:
    text = to_xml(flood).decode().replace("</info>", "<a/>" * 9_000 + "</info>", 1)
    with pytest.raises(CapError, match="elements"):
        refuse_costly(text.partition("?>")[2].encode("utf-16"))

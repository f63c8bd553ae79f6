"""A shape that may be read in several ways: the likeliest from a feed, a question to a person."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cap_documents import flood
from hypothesis import given
from hypothesis import strategies as st

from alerting.cap import CapError, read, shapes, to_json
from alerting.cap.refusal import refuse_unclear
from alerting.domain.alert import Alert, Polygon

RING = "54.1,-2.9 54.1,-2.8 54.2,-2.8 54.1,-2.9"
FIELD = Path(os.environ.get("ALERTING_CORPUS", ".")) / "field" / "polygons"
IN_DELHI = ((28.5, 77.1), (28.5, 77.3), (28.7, 77.3), (28.5, 77.1))
AT_SEA = ((54.46, 2.4), (54.48, 2.58), (54.55, 2.62), (54.46, 2.4))

#: The text, the points of its likeliest reading, and what is asked.
SEVERAL = [
    ("2.40,54.46,0 2.58,54.48,0 2.62,54.55,0 2.40,54.46,0", AT_SEA, "an altitude"),
    ("2.4,54.46,0,2.58,54.48,0,2.62,54.55,0,2.4,54.46,0", AT_SEA, "an altitude"),
    ("54,46 2,40 54,48 2,58 54,55 2,62 54,46 2,40", AT_SEA, "commas for decimal points"),
    ("54,46,2,40 54,48,2,58 54,55,2,62 54,46,2,40", AT_SEA, "commas for decimal points"),
    ("[[77.1,28.5],[77.3,28.5],[77.3,28.7],[77.1,28.5]]", IN_DELHI, "points in brackets"),
    ("(28.5, 77.1) (28.5, 77.3) (28.7, 77.3) (28.5, 77.1)", IN_DELHI, "an unknown form"),
    ("28.5 77.1 28.5 77.3 28.7 77.3 28.5 77.1", IN_DELHI, "an unknown form"),
]


def one(ring: str) -> Alert:
    (alert,) = read(flood((RING, ring))).alerts
    return alert


def refusal(alert: Alert) -> str:
    with pytest.raises(CapError) as caught:
        refuse_unclear(alert)
    return str(caught.value)


@pytest.mark.parametrize(("text", "points", "asked"), SEVERAL)
def test_ambiguous_shape_is_refused_with_suggestion(
    text: str, points: tuple[tuple[float, float], ...], asked: str
) -> None:
    alert = one(text)
    assert alert.infos[0].areas[0].polygons == (Polygon(points),)
    said = refusal(alert)
    assert f"info[1]/area[1]/polygon[1]: {text[:20]!r}"[:40] in said
    assert asked in said
    assert f"Did you mean '{shapes.polygon_text(Polygon(points))[:40]}" in said
    # Written as it is asked, it is taken.
    refuse_unclear(one(shapes.polygon_text(Polygon(points))))


def test_unclosed_whole_degrees_may_be_decimals() -> None:
    text = "54,46 2,40 54,48 2,58 54,55 2,62"
    assert one(text).infos[0].areas[0].polygons[0].points[0] == (54.0, 46.0)
    assert "whole degrees, or commas for decimal points" in refusal(one(text))


@pytest.mark.parametrize(
    "text",
    [
        "54,2 54,3 55,3 55,2 54,2",
        "54,2 54,3 55,4 56,3 55,2 54,2",
        "54.1, -2.9 54.1, -2.8 54.2 , -2.8 54.1,-2.9",
        "54.1,-2.9;54.1,-2.8;54.2,-2.8;54.1,-2.9",
        "54.1,-2.9 54.1,-2.8 54.2,-2.8",
    ],
)
def test_unambiguous_shape_is_accepted(text: str) -> None:
    refuse_unclear(one(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("54.1,-2.9 54.2,-2.9", "fewer than four points"),
        ("somewhere", "no polygon"),
        ("91,181 92,182 93,183 91,181", "coordinates outside the Earth"),
    ],
)
def test_unreadable_shape_is_refused_on_submission(text: str, why: str) -> None:
    assert one(text).infos[0].areas[0].polygons == ()
    assert f"polygon[1]: {why}" in refusal(one(text))


@pytest.mark.parametrize("text", ["52.5 13.4 5", "2.4,54.4,0", "52,5 13,4 5", "52.5,13.4"])
def test_circle_in_another_form_is_refused_with_suggestion(text: str) -> None:
    (alert,) = read(flood((f"<polygon>{RING}</polygon>", f"<circle>{text}</circle>"))).alerts
    assert "Write a circle as lat,lon and its radius in kilometres" in refusal(alert)


@pytest.mark.parametrize("name", ["kml-triples", "decimal-comma"])
def test_field_shapes_are_refused_with_suggestion(name: str) -> None:
    if not FIELD.is_dir():
        pytest.skip("the shared corpus is not here")
    (alert,) = read((FIELD / f"{name}.xml").read_bytes()).alerts
    assert "Did you mean '54.46,2.4 " in refusal(alert)


@given(
    st.lists(
        st.tuples(st.integers(-90, 90), st.integers(-180, 180)),
        min_size=3,
        max_size=12,
        unique=True,
    )
)
def test_written_shapes_are_unambiguous(points: list[tuple[int, int]]) -> None:
    """Whole degrees too: a stored alert is read again and again."""
    ring = Polygon(tuple((float(a), float(b)) for a, b in [*points, points[0]]))
    drawn = shapes.polygon(shapes.polygon_text(ring))
    assert drawn == shapes.Drawn(ring)


def test_json_accepts_the_written_form_only() -> None:
    body = to_json(one(RING))
    body["info"][0]["area"][0]["polygon"] = [SEVERAL[0][0]]
    with pytest.raises(CapError, match="KML"):
        read(json.dumps(body).encode())


@pytest.mark.parametrize("text", ["if the river < 3 m", "call 1 < 2", "leave & <go"])
def test_unescaped_sign_is_refused_with_advice(text: str) -> None:
    with pytest.raises(CapError, match="write < as &lt; and & as &amp;"):
        read(flood(("<areaDesc>Lower Ford", f"<areaDesc>{text}")))

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from shapely import box

from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    MsgType,
    NamedValue,
    Polygon,
    Scope,
    Severity,
    Status,
    Urgency,
)
from alerting.domain.ground import MAX_POINTS, beyond, read_geojson, to_geojson
from alerting.domain.principal import Principal
from alerting.errors import BadInput

RING = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]
FAR = [[10, 10], [11, 10], [11, 11], [10, 10]]
OWN = box(0, 0, 2, 2)


def square(west: float, south: float, east: float, north: float) -> Polygon:
    corners = ((south, west), (south, east), (north, east), (north, west), (south, west))
    return Polygon(corners)


def alert(*areas: Area, msg_type: MsgType = MsgType.ALERT) -> Alert:
    one = Info(
        (Category.MET,), "Flood", Urgency.IMMEDIATE, Severity.SEVERE, Certainty.OBSERVED,
        areas=areas,
    )  # fmt: skip
    at = datetime(2026, 11, 1, tzinfo=UTC)
    return Alert("a", "s@example.org", at, Status.ACTUAL, msg_type, Scope.PUBLIC, infos=(one,))


@pytest.mark.parametrize(
    ("area", "why"),
    [
        (Area("all", polygons=(square(0, 0, 2, 2),)), ""),
        (Area("rounded", polygons=(square(-0.000005, 0, 2, 2.000005),)), ""),
        (Area("wider", polygons=(square(0, 0, 2.001, 2),)), "area 1 of info 1 lies outside"),
        (Area("two", polygons=(square(0, 0, 1, 1), square(5, 5, 6, 6))), "area 1 of info 1 lies"),
        (Area("disc", circles=(Circle(1, 1, 100),)), ""),
        (Area("corner", circles=(Circle(0.2, 0.2, 22),)), ""),
        (Area("edge", circles=(Circle(0.2, 0.2, 23),)), "area 1 of info 1 lies outside"),
        (Area("large", circles=(Circle(1, 1, 3000),)), "area 1 of info 1 lies outside"),
        (Area("elsewhere", circles=(Circle(5, 5, 0),)), "area 1 of info 1 lies outside"),
        (Area("code", geocodes=(NamedValue("SAME", "000000"),)), "where those live who have the"),
        (
            Area("both", polygons=(square(0, 0, 1, 1),), geocodes=(NamedValue("SAME", "0"),)),
            "where those live who have the",
        ),
        (Area("words only"), "it names no area"),
    ],
)
def test_outside_says_why_alert_exceeds_the_ground(area: Area, why: str) -> None:
    found = beyond(alert(area), OWN)
    assert found.startswith(why)
    assert bool(found) == bool(why)


def test_outside_counts_every_area() -> None:
    inside = Area("in", polygons=(square(0, 0, 1, 1),))
    outside = Area("out", polygons=(square(3, 3, 4, 4),))
    assert beyond(alert(inside, outside), OWN) == "area 2 of info 1 lies outside"
    limited = Principal("key:x", area=OWN)
    assert "it names no area" in limited.outside(alert(msg_type=MsgType.CANCEL))
    assert limited.outside(alert(msg_type=MsgType.ACK)) == "", "nobody is sent it"


def test_outside_works_across_the_antimeridian() -> None:
    fiji = read_geojson(
        {
            "type": "MultiPolygon",
            "coordinates": [
                [[[176, -20], [180, -20], [180, -15], [176, -15], [176, -20]]],
                [[[-180, -20], [-178, -20], [-178, -15], [-180, -15], [-180, -20]]],
            ],
        }
    )
    across = Polygon(((-18, 179), (-18, -179), (-17, -179), (-17, 179), (-18, 179)))
    assert beyond(alert(Area("a", polygons=(across,))), fiji) == ""
    assert beyond(alert(Area("a", polygons=(across,))), box(176, -20, 180, -15)) != ""


@pytest.mark.parametrize(
    "document",
    [
        {"type": "Polygon", "coordinates": [RING]},
        {"type": "MultiPolygon", "coordinates": [[RING]]},
        {
            "type": "Feature", "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [RING]},
        },
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [RING]}}
            ],
        },
        {"type": "Polygon", "coordinates": [[[*point, 12.5] for point in RING]]},
    ],
)  # fmt: skip
def test_geojson_in_usual_forms_is_read(document: dict[str, Any]) -> None:
    found = read_geojson(document)
    assert found.equals(OWN)
    assert read_geojson(to_geojson(found)).equals(OWN)


def test_geojson_keeps_parts_and_holes() -> None:
    hole = [[0.5, 0.5], [1, 0.5], [1, 1], [0.5, 0.5]]
    found = read_geojson({"type": "MultiPolygon", "coordinates": [[RING, hole], [FAR]]})
    assert found.area == pytest.approx(4 - 0.125 + 0.5)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "no GeoJSON polygon"),
        ([], "no GeoJSON polygon"),
        ({"type": "Point", "coordinates": [1, 2]}, "no GeoJSON polygon"),
        ({"type": "FeatureCollection", "features": [3]}, "no GeoJSON polygon"),
        ({"type": "FeatureCollection", "features": []}, "holds nothing"),
        ({"type": "Polygon", "coordinates": []}, "holds nothing"),
        ({"type": "Polygon", "coordinates": [3]}, "cannot be read"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "cannot be read"),
        ({"type": "Polygon", "coordinates": [[["a", 0]] * 4]}, "cannot be read"),
        ({"type": "Polygon", "coordinates": [[[0, 91], [1, 1], [2, 2], [0, 91]]]}, "cannot be"),
        ({"type": "Polygon", "coordinates": [[[0, float("nan")]] * 4]}, "cannot be read"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}, "valid"),
        ({"type": "Polygon", "coordinates": [[[0, 0]] * (MAX_POINTS + 1)]}, "more than 5,000"),
    ],
)  # fmt: skip
def test_geojson_that_is_no_area_is_refused(document: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_geojson(document)

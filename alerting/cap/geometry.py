"""Whether a polygon is one simple shape."""

from __future__ import annotations

from shapely import Polygon as Shape
from shapely.validation import explain_validity

from alerting.domain.alert import Polygon


def fault(polygon: Polygon) -> str | None:
    """What is wrong with a ring, in words and with the place; None where it is simple.

    A jump of more than 180 degrees of longitude is taken as a step across the antimeridian.
    """
    line: list[tuple[float, float]] = []
    turn = 0.0
    for lat, lon in polygon.points:
        if line and abs(lon + turn - line[-1][0]) > 180:
            turn += 360 if lon + turn < line[-1][0] else -360
        line.append((lon + turn, lat))
    if line[0] != line[-1]:
        return "The ring goes around a pole"
    why, _, place = explain_validity(Shape(line)).partition("[")
    if why == "Valid Geometry":
        return None
    if "elf-intersection" not in why:
        return "The ring encloses nothing"
    lon_text, _, lat_text = place.rstrip("]").partition(" ")
    return f"The ring crosses or touches itself at {lat_text},{lon_text}"

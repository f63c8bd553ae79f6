"""Ground: the area a person or key is responsible for, and whether an alert stays within it."""

from __future__ import annotations

import math
from typing import Any

import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from alerting.domain.alert import Alert, Circle
from alerting.domain.geometry import circle_shape, distance_m_to, ring_shape, union
from alerting.errors import BadInput

#: Enough for any area of responsibility, and it is compared with every alert.
MAX_POINTS = 5_000

#: Rounding in the fifth decimal, about a metre, does not count as outside.
_ROUNDING_DEG = 1e-5

#: Up to here distances on the ground are accurate within one per cent.
_NEAR_KM = 100.0


def read_geojson(document: Any) -> BaseGeometry:
    """The ground of a GeoJSON polygon, multipolygon, or feature or collection of these.

    Raises:
        BadInput: Saying what is wrong.
    """
    polygons = _polygons(document)
    points = sum(len(ring) for rings in polygons for ring in rings if isinstance(ring, list))
    if points > MAX_POINTS:
        raise BadInput(f"The area has more than {MAX_POINTS:,} points.", remedy="Simplify it.")
    shape = union([_polygon(rings) for rings in polygons])
    if shape.is_empty:
        raise BadInput("The area holds nothing.", remedy="Give a polygon in GeoJSON.")
    return shape


def to_geojson(shape: BaseGeometry) -> dict[str, Any]:
    """A ground as a GeoJSON geometry."""
    document: dict[str, Any] = shapely.geometry.mapping(shape)
    return document


def beyond(alert: Alert, own: BaseGeometry) -> str:
    """Why an alert may concern people outside this ground, as half a sentence; empty when it
    cannot."""
    numbered = [
        (f"area {m} of info {n}", area)
        for n, info in enumerate(alert.infos, 1)
        for m, area in enumerate(info.areas, 1)
    ]
    if any(area.geocodes for _, area in numbered):
        return "where those live who have the geocode it names is not known"
    if not any(area.polygons or area.circles for _, area in numbered):
        return "it names no area"
    wide = own.buffer(_ROUNDING_DEG)
    shapely.prepare(wide)
    for name, area in numbered:
        if not all(wide.covers(ring_shape(p.points)) for p in area.polygons):
            return f"{name} lies outside"
        if not all(_covers_circle(wide, c) for c in area.circles):
            return f"{name} lies outside"
    return ""


def covers(own: BaseGeometry, other: BaseGeometry) -> bool:
    """True when `other` does not exceed this ground, apart from rounding."""
    return bool(own.buffer(_ROUNDING_DEG).covers(other))


def common(one: BaseGeometry | None, other: BaseGeometry | None) -> BaseGeometry | None:
    """The ground that two have in common; None is the whole world."""
    if one is None or other is None:
        return one if other is None else other
    parts = shapely.get_parts(one.intersection(other))
    return union([part for part in parts if part.area > 0])


def _covers_circle(own: BaseGeometry, circle: Circle) -> bool:
    if own.covers(circle_shape(circle.lat, circle.lon, circle.radius_km)):
        return True
    # The shape above is the box around the circle; near an edge the true distance counts.
    centre = shapely.Point(circle.lon, circle.lat)
    return (
        circle.radius_km <= _NEAR_KM
        and bool(own.covers(centre))
        and distance_m_to(own.boundary, circle.lat, circle.lon) >= circle.radius_km * 1000
    )


def _polygons(document: Any) -> list[list[Any]]:
    """The coordinates of all polygons of a GeoJSON document."""
    match document:
        case {"type": "Polygon", "coordinates": [*rings]}:
            return [rings]
        case {"type": "MultiPolygon", "coordinates": [*polygons]} if all(
            isinstance(p, list) for p in polygons
        ):
            return polygons
        case {"type": "Feature", "geometry": dict(geometry)}:
            return _polygons(geometry)
        case {"type": "FeatureCollection", "features": [*features]}:
            return [p for feature in features for p in _polygons(feature)]
    raise BadInput(
        "The area is no GeoJSON polygon or multipolygon.",
        remedy='It looks like {"type": "Polygon", "coordinates": [[[lon, lat], …]]}.',
    )


def _polygon(rings: list[Any]) -> Polygon | MultiPolygon:
    try:
        read = [[_point(p) for p in ring] for ring in rings]
        shape = Polygon(read[0], read[1:]) if read else Polygon()
    except (TypeError, ValueError, LookupError) as e:
        raise BadInput(
            "The area's coordinates cannot be read.",
            remedy="Each ring is a list of at least four [longitude, latitude] in degrees.",
        ) from e
    if not shape.is_valid:
        raise BadInput(
            f"The area is no valid polygon: {shapely.is_valid_reason(shape)}.",
            remedy="Draw it without edges that cross.",
        )
    return shape


def _point(value: Any) -> tuple[float, float]:
    lon, lat = float(value[0]), float(value[1])
    if not (math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 180 and abs(lat) <= 90):
        raise ValueError("outside the Earth")
    return lon, lat

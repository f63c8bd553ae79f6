"""CAP shapes as plane geometry in (longitude, latitude) degrees, whatever state they come in.

Where a ring is ambiguous the reading that holds more people wins: an extra message is a nuisance,
a missing one may kill.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Point, Polygon
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

EARTH_KM = 6371.0088

#: A ring without any area (a line, a point) still means the people on it: about a metre.
_SLIVER_DEG = 1e-5


def ring_shape(points: Sequence[tuple[float, float]]) -> BaseGeometry:
    """The area inside one CAP ring of (lat, lon).

    A ring that crosses the antimeridian is cut there. A ring that touches or crosses itself is
    read by its winding: both lobes of a bow-tie count, a hole drawn through a seam stays a hole.
    """
    lons = _unwrapped([lon for _, lon in points])
    coords = [(lon, lat) for lon, (lat, _) in zip(lons, points, strict=True)]
    shape: BaseGeometry = Polygon(coords)
    if not shape.is_valid:
        shape = _by_winding(coords)
    if shape.is_empty or shape.area == 0:
        shape = LineString(coords).buffer(_SLIVER_DEG)
    return _within_world(shape)


def circle_shape(lat: float, lon: float, radius_km: float) -> BaseGeometry:
    """A polygon around everything within `radius_km` of a point, a little larger than the disc.

    A circle that reaches a pole becomes the whole cap of latitudes.
    """
    reach = np.degrees(radius_km / EARTH_KM) * 1.002 + _SLIVER_DEG
    south, north = lat - reach, lat + reach
    if north >= 90 or south <= -90:
        return shapely.box(-180, max(-90.0, south), 180, min(90.0, north))
    # The circle's widest meridian, not its centre's, is what bounds it in longitude.
    wide = np.degrees(np.arcsin(min(1.0, np.sin(np.radians(reach)) / np.cos(np.radians(lat)))))
    return _within_world(shapely.box(lon - wide, south, lon + wide, north))


def distance_km(
    lat: float, lon: float, lats: NDArray[np.float64], lons: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Great-circle distances from one point to many (haversine, mean earth radius)."""
    a, b = np.radians(lat), np.radians(lats)
    half_lat, half_lon = (b - a) / 2, np.radians(lons - lon) / 2
    h = np.sin(half_lat) ** 2 + np.cos(a) * np.cos(b) * np.sin(half_lon) ** 2
    arc: NDArray[np.float64] = 2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(1.0, h)))
    return arc


def distance_m_to(shape: BaseGeometry, lat: float, lon: float) -> float:
    """Metres from a point to a shape, 0 inside.

    Measured on a plane scaled at the point's latitude; off by less than 1 % up to 100 km away
    below 70 degrees of latitude.
    """
    scale = max(0.01, float(np.cos(np.radians(lat))))

    def flat(coords: NDArray[np.float64]) -> NDArray[np.float64]:
        # The short way round the world, so that the antimeridian is no wall.
        dx = (coords[:, 0] - lon + 180) % 360 - 180
        return np.column_stack((dx * scale, coords[:, 1] - lat))

    degrees = shapely.distance(shapely.transform(shape, flat), Point(0, 0))
    return float(np.radians(degrees)) * EARTH_KM * 1000


def grown(shape: BaseGeometry, metres: float) -> BaseGeometry:
    """A shape that holds everything within `metres` of this one."""
    if metres <= 0 or shape.is_empty:
        return shape
    up = float(np.degrees(metres / 1000 / EARTH_KM)) * 1.01
    _, south, _, north = shape.bounds
    tilt = min(89.0, max(abs(south), abs(north)) + up)
    return _within_world(shape.buffer(up / max(0.01, float(np.cos(np.radians(tilt))))))


def area_km2(shape: BaseGeometry) -> float:
    """The area of a plane shape on the ground, within one per cent."""

    def equal_area(coords: NDArray[np.float64]) -> NDArray[np.float64]:
        lat = np.radians(coords[:, 1])
        return np.column_stack((np.radians(coords[:, 0]) * np.cos(lat), lat)) * EARTH_KM

    if shape.is_empty:
        return 0.0
    # Long edges bend in the projection.
    return float(shapely.transform(shapely.segmentize(shape, 1.0), equal_area).area)


def cap_km2(radius_km: float) -> float:
    """The area within `radius_km` of a point of the Earth."""
    angle = min(float(np.pi), radius_km / EARTH_KM)
    return float(2 * np.pi * EARTH_KM**2 * (1 - np.cos(angle)))


def union(shapes: Iterable[BaseGeometry]) -> BaseGeometry:
    return shapely.union_all(list(shapes))


def _unwrapped(lons: Sequence[float]) -> list[float]:
    """Longitudes without jumps: each within half a turn of the one before."""
    result = [lons[0]]
    for lon in lons[1:]:
        step = (lon - result[-1] + 180) % 360 - 180
        # Exactly half a turn is a real edge across the map, not a wrap.
        result.append(lon if abs(lon - result[-1]) <= 180 else result[-1] + step)
    return result


def _within_world(shape: BaseGeometry) -> BaseGeometry:
    """Cut a shape at the antimeridian and bring every piece back to -180…180."""
    west, _, east, _ = shape.bounds
    if west >= -180 and east <= 180:
        return shape
    pieces = []
    for turn in range(int((west + 180) // 360), int((east + 180) // 360) + 1):
        window = shapely.box(turn * 360 - 180, -90, turn * 360 + 180, 90)
        piece = shape.intersection(window)
        if not piece.is_empty:
            pieces.append(translate(piece, xoff=-360 * turn))
    return union(pieces)


def _by_winding(coords: Sequence[tuple[float, float]]) -> BaseGeometry:
    """The faces of a tangled ring that it winds around at least once."""
    faces = shapely.get_parts(shapely.polygonize([shapely.union_all([LineString(coords)])]))
    ring = np.asarray(coords)
    return union([f for f in faces if _winding(ring, f.representative_point()) != 0])


def _winding(ring: NDArray[np.float64], point: Point) -> int:
    """How often a ring turns around a point that is not on it."""
    x, y = ring[:, 0] - point.x, ring[:, 1] - point.y
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    up = (y[:-1] <= 0) & (y[1:] > 0) & (cross > 0)
    down = (y[:-1] > 0) & (y[1:] <= 0) & (cross < 0)
    return int(up.sum()) - int(down.sum())

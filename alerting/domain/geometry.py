"""CAP shapes as plane geometry in (longitude, latitude) degrees, however malformed they are.

Where a ring is ambiguous, the reading that holds more people wins: an extra message is a nuisance,
a missing one may kill. Shapes so tangled that untangling would take minutes are replaced by their
hull.
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

# Pairs of edges that may meet, not counting consecutive ones. Separating a pair costs about six
# microseconds. Each figure is (minimum, per edge).

#: For any shapes: comparing each pair. Coastlines have one or two per edge.
_MOST_PAIRS = (20_000, 6)

#: For a ring that crosses itself. Real ones have fewer than two per edge.
_MOST_TANGLED = (50, 2)

#: For several shapes, pairs that do meet. Two that share a border have three per edge.
_MOST_MEETINGS = (1_000, 4)

#: With more edges, consecutive ones are tested as a group.
_MOST_BOXES = 8_000

#: This few edges never exceed the limits.
_FEW = 12

#: Shapes with more points are simplified before they are buffered.
_FINE = 2_000

#: A ring without area (a line, a point) still means the people on it: about a metre.
_SLIVER_DEG = 1e-5


def ring_shape(points: Sequence[tuple[float, float]]) -> BaseGeometry:
    """The area inside one CAP ring of (lat, lon).

    A ring that crosses the antimeridian is cut there. A ring that touches or crosses itself is
    read by its winding: both lobes of a bow-tie count, a hole drawn through a seam stays a hole.
    """
    coords = np.asarray(points, float)[:, ::-1]
    coords = np.column_stack((_unwrapped(coords[:, 0]), coords[:, 1]))
    shape: BaseGeometry = Polygon(coords)
    edges = coords[:-1], coords[1:]
    if _pairs_exceed(*edges, _MOST_PAIRS):
        shape = shape.convex_hull
    elif not shape.is_valid:
        if _pairs_exceed(*edges, _MOST_TANGLED):
            shape = shape.convex_hull
        else:
            # Of all ways to make a ring valid the one that counts how often it winds.
            shape = shapely.make_valid(shape, method="structure", keep_collapsed=False)
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
    """A shape that contains everything within `metres` of this one."""
    if metres <= 0 or shape.is_empty:
        return shape
    up = float(np.degrees(metres / 1000 / EARTH_KM)) * 1.01
    _, south, _, north = shape.bounds
    tilt = min(89.0, max(abs(south), abs(north)) + up)
    reach = up / max(0.01, float(np.cos(np.radians(tilt))))
    if shapely.get_num_coordinates(shape) > _FINE:
        # Finer than a tenth of the distance is not visible; that much is added all around.
        shape, reach = shape.simplify(reach / 10), reach * 1.1
    return _within_world(shape.buffer(reach))


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
    """The union of all shapes; that of their hulls when they are `tangled`."""
    several = list(shapes)
    if len(several) == 1:
        return several[0]
    several = list({shape.wkb: shape for shape in several}.values())
    if tangled(several):
        return shapely.convex_hull(shapely.GeometryCollection(several))
    return shapely.union_all(several)


def tangled(shapes: Sequence[BaseGeometry]) -> bool:
    """True when a union of these shapes would take too long: too many of their edges meet.

    The test itself is bounded: it stops as soon as the answer is known.
    """
    # Twice, for parts may have parts.
    rings = shapely.get_rings(shapely.get_parts(shapely.get_parts(list(shapes))))
    coords, of_ring = shapely.get_coordinates(rings, return_index=True)
    starts = np.flatnonzero(of_ring[:-1] == of_ring[1:])
    if len(shapes) < 2 or len(starts) <= _FEW:
        return False
    edges = coords[starts], coords[starts + 1]
    if not _pairs_exceed(*edges, _MOST_MEETINGS):
        return False
    least, each = _MOST_MEETINGS
    return _pairs_exceed(*edges, _MOST_PAIRS) or _meetings(*edges) > max(least, each * len(starts))


def _pairs_exceed(
    starts: NDArray[np.float64], ends: NDArray[np.float64], most: tuple[int, int]
) -> bool:
    """Whether more pairs of edges than `most` may meet, by the boxes around them."""
    step = -(-len(starts) // _MOST_BOXES)
    groups = np.arange(0, len(starts), max(1, step))
    low = np.minimum.reduceat(np.minimum(starts, ends), groups)
    high = np.maximum.reduceat(np.maximum(starts, ends), groups)
    count = len(groups)
    allowed = max(most[0], most[1] * count)
    if count**2 <= 2 * allowed:
        return False
    boxes = np.asarray(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))
    tree = shapely.STRtree(boxes)
    found, size = 0, 1 + allowed // count
    for start in range(0, count, size):
        pairs = tree.query(boxes[start : start + size])
        # Each meets itself; the others are found from both sides.
        found += (pairs.shape[1] - min(size, count - start)) // 2
        if found > allowed:
            return True
    return False


def _meetings(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> int:
    """How many pairs of edges meet, but for those that follow one another in a ring."""
    edges = np.asarray(shapely.linestrings(np.stack((starts, ends), axis=1)))
    found = shapely.STRtree(edges).query(edges, predicate="intersects").shape[1]
    return int((found - len(edges)) // 2 - len(edges))


def _unwrapped(lons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitudes without jumps: each is within 180 degrees of the one before."""
    if np.ptp(lons) <= 180:
        return lons
    result = lons.tolist()
    for at, lon in enumerate(result[1:], 1):
        before = result[at - 1]
        # Exactly 180 degrees is a real edge across the map, not a wrap.
        if abs(lon - before) > 180:
            result[at] = before + (lon - before + 180) % 360 - 180
    return np.array(result)


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

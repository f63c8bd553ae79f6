from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from alerting.audience import h3_cover
from alerting.domain.geometry import (
    circle_shape,
    distance_km,
    distance_m_to,
    grown,
    ring_shape,
    tangled,
    union,
)


def holds(shape: shapely.Geometry, lat: float, lon: float) -> bool:
    return bool(shapely.intersects_xy(shape, lon, lat))


def covered(shape: shapely.Geometry, lat: float, lon: float) -> bool:
    cell = h3_cover.cell_of(lat, lon)
    return any(low <= cell <= high for low, high in zip(*h3_cover.ranges(shape), strict=True))


SQUARE = [(0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (2.0, 0.0), (0.0, 0.0)]


def test_edge_belongs_to_the_area() -> None:
    shape = ring_shape(SQUARE)
    assert holds(shape, 0, 1)
    assert holds(shape, 2, 2)
    assert not holds(shape, 2.0001, 1)


def test_hole_through_a_seam_stays_a_hole() -> None:
    outer = [(0.0, 0.0), (0.0, 9.0), (9.0, 9.0), (9.0, 0.0), (0.0, 0.0)]
    inner = [(3.0, 3.0), (6.0, 3.0), (6.0, 6.0), (3.0, 6.0), (3.0, 3.0)]
    shape = ring_shape([*outer, *inner, (0.0, 0.0)])
    assert holds(shape, 1, 1)
    assert holds(shape, 8, 5)
    assert not holds(shape, 4.5, 4.5)


def test_both_lobes_of_a_bow_tie_count() -> None:
    shape = ring_shape([(0.0, 0.0), (2.0, 2.0), (0.0, 2.0), (2.0, 0.0), (0.0, 0.0)])
    assert holds(shape, 1, 0.3)
    assert holds(shape, 1, 1.7)


def test_ring_drawn_twice_is_not_empty() -> None:
    assert holds(ring_shape([*SQUARE, *SQUARE[1:]]), 1, 1)


def test_shape_crosses_the_antimeridian() -> None:
    shape = ring_shape(
        [(-20.0, 178.0), (-20.0, -178.0), (-15.0, -178.0), (-15.0, 178.0), (-20.0, 178.0)]
    )
    for lon in (178.5, 179.999, -179.999, -178.5):
        assert holds(shape, -17, lon)
        assert covered(shape, -17, lon)
    assert not holds(shape, -17, 0)
    assert not holds(shape, -17, 177)


def test_ring_without_area_holds_its_line() -> None:
    shape = ring_shape([(1.0, 1.0), (1.0, 2.0), (1.0, 1.0), (1.0, 1.0)])
    assert holds(shape, 1, 1.5)
    assert covered(shape, 1, 1.5)


def test_circle_over_a_pole_is_covered() -> None:
    shape = circle_shape(89.9, 0, 100)
    assert holds(shape, 89.5, 179)
    assert covered(shape, 89.5, 179)


@given(
    st.floats(-80, 80), st.floats(-180, 180), st.floats(0, 400), st.floats(0, 360), st.floats(0, 1)
)
def test_circle_misses_nobody(
    lat: float, lon: float, radius_km: float, bearing: float, share: float
) -> None:
    """A point within the radius, found by walking there, lies in the shape and in the cover."""
    arc = radius_km * share / 6371.0088
    phi, theta = math.radians(lat), math.radians(bearing)
    lat2 = math.asin(
        math.sin(phi) * math.cos(arc) + math.cos(phi) * math.sin(arc) * math.cos(theta)
    )
    turn = math.atan2(
        math.sin(theta) * math.sin(arc) * math.cos(phi),
        math.cos(arc) - math.sin(phi) * math.sin(lat2),
    )
    lat2, lon2 = math.degrees(lat2), (lon + math.degrees(turn) + 180) % 360 - 180
    shape = circle_shape(lat, lon, radius_km)
    assert holds(shape, lat2, lon2)
    assert covered(shape, lat2, lon2)
    far = distance_km(lat, lon, np.array([lat2]), np.array([lon2]))[0]
    assert far == pytest.approx(radius_km * share, abs=1e-3)


coordinate = st.tuples(
    st.floats(-1, 1).map(lambda v: round(v, 4)), st.floats(-1, 1).map(lambda v: round(v, 4))
)


@given(
    st.lists(coordinate, min_size=3, max_size=9),
    st.sampled_from([(0.0, 0.0), (50.0, 10.0), (-33.0, 151.0), (64.0, -179.9), (10.0, 180.0)]),
    st.sampled_from([0.001, 0.05, 1.0, 8.0]),
    st.lists(coordinate, min_size=5, max_size=5),
)
def test_cover_misses_nobody(
    ring: list[tuple[float, float]],
    centre: tuple[float, float],
    size: float,
    probes: list[tuple[float, float]],
) -> None:
    """Any tangled ring anywhere: whoever the exact test holds, the index finds."""

    def place(p: tuple[float, float]) -> tuple[float, float]:
        return centre[0] + p[0] * size, (centre[1] + p[1] * size + 180) % 360 - 180

    points = [place(p) for p in ring]
    shape = ring_shape([*points, points[0]])
    lows, highs = h3_cover.ranges(shape)
    for lat, lon in [*map(place, probes), *points]:
        if holds(shape, lat, lon):
            cell = h3_cover.cell_of(lat, lon)
            assert any(low <= cell <= high for low, high in zip(lows, highs, strict=True))


@given(st.floats(-65, 65), st.floats(-179, 179), st.floats(1, 50_000))
def test_distance_to_a_square_is_to_its_edge(lat: float, lon: float, m: float) -> None:
    assume(abs(lat) + 1 < 66)
    shape = ring_shape(
        [(lat, lon), (lat, lon + 0.5), (lat + 0.5, lon + 0.5), (lat + 0.5, lon), (lat, lon)]
    )
    south = lat - math.degrees(m / 6371008.8)
    assert distance_m_to(shape, south, lon + 0.25) == pytest.approx(m, rel=0.01)
    assert holds(grown(shape, m), south, lon + 0.25)
    assert distance_m_to(shape, lat + 0.25, lon + 0.25) == 0


def scribble(seed: int, count: int) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    points = [(float(a), float(b)) for a, b in rng.uniform(0, 9, (count, 2))]
    return [*points, points[0]]


@pytest.mark.parametrize("count", [5, 8, 12, 40, 100, 800, 5_000])
def test_tangled_ring_holds_all_it_winds_around(count: int) -> None:
    points = scribble(count, count)
    shape = ring_shape(points)
    ring = np.array(points)
    assert shape.is_valid
    for lat, lon in np.random.default_rng(1).uniform(0, 9, (50, 2)):
        y, x = ring[:, 0] - lat, ring[:, 1] - lon
        cross = x[:-1] * y[1:] - x[1:] * y[:-1]
        winds = np.sum((y[:-1] <= 0) & (y[1:] > 0) & (cross > 0))
        winds -= np.sum((y[:-1] > 0) & (y[1:] <= 0) & (cross < 0))
        assert winds == 0 or holds(shape, lat, lon)
    assert shape.within(shapely.MultiPoint(ring[:, ::-1]).convex_hull.buffer(1e-9))


def test_detailed_coast_is_not_replaced_by_its_hull() -> None:
    turn = np.linspace(0, 2 * np.pi, 20_001)
    reach = 2 + 0.5 * np.sin(40 * turn)
    coast = np.column_stack((50 + reach * np.sin(turn), 8 + reach * np.cos(turn)))
    coast[-1] = coast[0]
    shape = ring_shape([(float(a), float(b)) for a, b in coast])
    assert shape.area < 0.95 * shape.convex_hull.area


def test_many_crossing_shapes_become_their_hull() -> None:
    rows = [shapely.box(0, n / 100, 9, n / 100 + 0.001) for n in range(400)]
    columns = [shapely.box(n / 50, 0, n / 50 + 0.001, 4) for n in range(400)]
    assert tangled([*rows, *columns])
    whole = union([*rows, *columns])
    assert all(whole.covers(s) for s in (*rows, *columns))


def test_neighbours_and_copies_are_united_exactly() -> None:
    cells = [shapely.box(x, y, x + 1, y + 1) for x in range(20) for y in range(0, 20, 2)]
    assert not tangled(cells)
    assert union(cells * 5).area == pytest.approx(200)


@pytest.mark.parametrize("metres", [10.0, 500.0, 50_000.0])
def test_grown_shape_holds_all_within_reach(metres: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 5_001)
    reach = 0.2 + 0.05 * np.sin(60 * turn)
    points = np.column_stack((50 + reach * np.sin(turn), 8 + reach * np.cos(turn)))
    points[-1] = points[0]
    shape = ring_shape([(float(a), float(b)) for a, b in points])
    wide = grown(shape, metres)
    rng = np.random.default_rng(3)
    for lat, lon in rng.uniform((49.2, 7), (50.8, 9), (300, 2)):
        if distance_m_to(shape, lat, lon) <= metres:
            assert holds(wide, lat, lon)

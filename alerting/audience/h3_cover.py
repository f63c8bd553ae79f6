"""Which H3 cells may contain a place of an area, as ranges of cell numbers for the index.

A cover may be too large, never too small; the exact test follows. At one resolution the children of
a cell are one contiguous range of numbers, so a coarse cell is one range scan.
"""

from __future__ import annotations

import h3
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

#: Places are indexed at this resolution: cells of about 0.1 km².
RESOLUTION = 9

#: About how many cells a cover may have before a coarser resolution is used.
_CELLS = 1500

_RES_SHIFT, _DIGIT_BITS, _FINEST = 52, 3, 15

#: From the number of one cell to that of the next.
CELL_SPAN = 1 << _DIGIT_BITS * (_FINEST - RESOLUTION)

#: H3's polygon functions need shapes well below 180 degrees wide.
_STRIP_DEG = 60.0


def cell_of(lat: float, lon: float) -> int:
    """The number of the cell that contains a point."""
    return int(h3.str_to_int(h3.latlng_to_cell(lat, lon, RESOLUTION)))


def ranges(shape: BaseGeometry) -> tuple[list[int], list[int]]:
    """Lowest and highest cell numbers of the ranges that cover a shape, ascending and disjoint."""
    if shape.is_empty:
        return [], []
    cells: set[str] = set()
    for piece in _strips(shape):
        _, south, _, north = piece.bounds
        if north > 85 or south < -85:
            # This close to a pole a cell's outline is not a polygon on this map: take everything.
            return _spans(set(h3.get_res0_cells()))
        cells |= _cells(piece)
    # A ring of neighbours compensates for curved edges and for cells cut at the antimeridian.
    cells = {n for c in cells for n in h3.grid_disk(c, 1)}
    return _spans(cells)


def _strips(shape: BaseGeometry) -> list[BaseGeometry]:
    west, _, east, _ = shape.bounds
    if east - west <= _STRIP_DEG:
        return [shape]
    edges = np.arange(west, east + _STRIP_DEG, _STRIP_DEG)
    pieces = (shape.intersection(shapely.box(w, -90, w + _STRIP_DEG, 90)) for w in edges)
    return [p for p in pieces if not p.is_empty]


def _cells(piece: BaseGeometry) -> set[str]:
    resolution = _resolution(piece)
    found: set[str] = set()
    for part in shapely.get_parts(piece):
        if part.geom_type != "Polygon":
            part = part.buffer(1e-6)
        found |= set(
            h3.h3shape_to_cells_experimental(
                h3.geo_to_h3shape(shapely.geometry.mapping(part)), resolution, contain="overlap"
            )
        )
    return found


def _resolution(piece: BaseGeometry) -> int:
    """The finest resolution at which this shape, edge included, has an acceptable number of
    cells."""
    lat = piece.centroid.y
    squeeze = max(0.05, float(np.cos(np.radians(lat))))
    area_km2 = piece.area * 111.2**2 * squeeze
    edge_km = piece.length * 111.2
    for resolution in range(RESOLUTION, 0, -1):
        side = h3.average_hexagon_edge_length(resolution, unit="km")
        cell = h3.average_hexagon_area(resolution, unit="km^2")
        if area_km2 / cell + edge_km / side < _CELLS:
            return resolution
    return 0


def _spans(cells: set[str]) -> tuple[list[int], list[int]]:
    by_resolution: dict[int, list[str]] = {}
    for c in cells:
        by_resolution.setdefault(h3.get_resolution(c), []).append(c)
    compact = [c for group in by_resolution.values() for c in h3.compact_cells(group)]
    spans = sorted(_span(int(h3.str_to_int(c)), h3.get_resolution(c)) for c in compact)
    lows: list[int] = []
    highs: list[int] = []
    for low, high in spans:
        # Pieces of different resolutions may overlap; nobody may be found twice there.
        if highs and low <= highs[-1]:
            highs[-1] = max(highs[-1], high)
        else:
            lows.append(low)
            highs.append(high)
    return lows, highs


def _span(cell: int, resolution: int) -> tuple[int, int]:
    """The numbers of a cell's children at RESOLUTION: their digits run from 0…0 to 6…6."""
    low = (cell & ~(0xF << _RES_SHIFT)) | (RESOLUTION << _RES_SHIFT)
    high = low
    for digit in range(resolution + 1, RESOLUTION + 1):
        shift = (_FINEST - digit) * _DIGIT_BITS
        low &= ~(0b111 << shift)
        high = (high & ~(0b111 << shift)) | (0b110 << shift)
    return low, high


def cells_of(lats: NDArray[np.float64], lons: NDArray[np.float64]) -> list[int]:
    """The cells of many points, in order."""
    return [cell_of(lat, lon) for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True)]

"""Towns: where people live in and around an area, with very unequal sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

#: The share of people in towns inside the area; a few of those are beyond its edge.
_INSIDE = 0.75

#: Large towns are wider than small ones, within limits.
_WIDTHS = (0.2, 3.0)


@dataclass(frozen=True, slots=True)
class Towns:
    """Towns by centre (longitude, latitude), share of the people, and spread.

    Attributes:
        spread: The standard deviation, in degrees, of the distance from a centre.
    """

    centres: NDArray[np.float64]
    shares: NDArray[np.float64]
    spread: float

    def homes(
        self, count: int, rng: np.random.Generator, *, wider: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitudes and longitudes of this many people, denser towards the centres.

        Args:
            wider: Large towns also cover more ground, as real ones do.
        """
        town = rng.choice(len(self.shares), size=count, p=self.shares)
        away = rng.normal(0, self.spread, (count, 2))
        if wider:
            away *= np.clip((self.shares * len(self.shares)) ** 0.5, *_WIDTHS)[town, None]
        homes = self.centres[town] + away
        return np.clip(homes[:, 1], -89.9, 89.9), (homes[:, 0] + 180) % 360 - 180


def found_towns(count: int, area: BaseGeometry, rng: np.random.Generator) -> Towns:
    """Towns for `count` people: three in four live in towns inside the area, the rest in its bounds
    grown by a quarter on every side."""
    west, south, east, north = area.bounds
    wide, high = east - west, north - south
    towns = max(4, int(count**0.5))
    centres = rng.uniform(
        (west - wide / 4, south - high / 4), (east + wide / 4, north + high / 4), (towns, 2)
    )
    inside = rng.random(towns) < _INSIDE
    centres[inside] = _points_in(area, int(inside.sum()), rng)
    sizes = rng.pareto(1.5, towns) + 0.5
    # Without this the largest town's position would decide how many live inside.
    for part, share in ((inside, _INSIDE), (~inside, 1 - _INSIDE)):
        if part.any():
            sizes[part] *= share / sizes[part].sum()
    return Towns(centres, sizes / sizes.sum(), min(wide, high) / 25)


def _points_in(area: BaseGeometry, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points spread evenly over an area, found by trying."""
    west, south, east, north = area.bounds
    found = np.empty((0, 2))
    while len(found) < count:
        tried = rng.uniform((west, south), (east, north), (count * 4, 2))
        hit = shapely.intersects_xy(area, tried[:, 0], tried[:, 1])
        found = np.vstack((found, tried[hit]))
    return found[:count]

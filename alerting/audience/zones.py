"""An alert's areas, each distinct one worked out once, and what they mean for a citizen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from alerting.domain.alert import Alert, Area, Circle, Info, NamedValue
from alerting.domain.geometry import (
    circle_shape,
    distance_km,
    distance_m_to,
    grown,
    ring_shape,
    union,
)
from alerting.domain.language import best_info


@dataclass(frozen=True)
class Zone:
    """The place of one or more areas that mean the same ground."""

    polygons: BaseGeometry
    circles: tuple[Circle, ...]
    geocodes: frozenset[NamedValue]

    @cached_property
    def reach(self) -> BaseGeometry:
        """Everything the zone's shapes may touch; a superset for circles."""
        return union(
            [self.polygons, *(circle_shape(c.lat, c.lon, c.radius_km) for c in self.circles)]
        )

    def holds(
        self,
        lats: NDArray[np.float64],
        lons: NDArray[np.float64],
        radii_m: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Which discs (a point and a radius in metres, often 0) touch the zone, edges included."""
        inside: NDArray[np.bool_] = shapely.intersects_xy(self.polygons, lons, lats)
        # The antimeridian has two names, and a shape that ends there knows it by one of them.
        seam = np.flatnonzero(np.abs(lons) == 180)
        inside[seam] |= shapely.intersects_xy(self.polygons, -lons[seam], lats[seam])
        for c in self.circles:
            inside |= distance_km(c.lat, c.lon, lats, lons) * 1000 <= c.radius_km * 1000 + radii_m
        if not self.polygons.is_empty:
            near = np.flatnonzero(~inside & (radii_m > 0))
            if len(near):
                # Most discs are nowhere near: the exact distance is asked only where it may count.
                wide = grown(self.polygons, float(radii_m[near].max()))
                near = near[shapely.intersects_xy(wide, lons[near], lats[near])]
            for i in near:
                inside[i] = distance_m_to(self.polygons, lats[i], lons[i]) <= radii_m[i]
        return inside


class Zones:
    """All zones of an alert, and for each set of zones hit the info and area that apply."""

    def __init__(self, alert: Alert) -> None:
        self._alert = alert
        self._infos = alert.infos
        self.zones: list[Zone] = []
        known: dict[object, int] = {}
        #: For each zone, the (info, area) numbers that stand for it.
        self._places: list[list[tuple[int, int]]] = []
        for info_no, info in enumerate(alert.infos):
            for area_no, area in enumerate(info.areas):
                key = (area.polygons, area.circles, area.geocodes)
                if not any(key):
                    continue
                if key not in known:
                    known[key] = len(self.zones)
                    self.zones.append(_zone(area))
                    self._places.append([])
                self._places[known[key]].append((info_no, area_no))
        self._chosen: dict[tuple[int, str], tuple[int, int]] = {}

    @cached_property
    def reach(self) -> BaseGeometry:
        return union([z.reach for z in self.zones])

    def geocodes(self) -> list[tuple[NamedValue, int]]:
        """Every geocode with the number of its zone."""
        return [(g, no) for no, z in enumerate(self.zones) for g in sorted(z.geocodes, key=str)]

    def choose(self, hits: int, language: str) -> tuple[int, int]:
        """(info_no, area_no) for somebody in the zones whose bits are set in `hits`.

        The gravest live info first, then the language read best, then the first area of that info
        the person is in.
        """
        key = (hits, language)
        if key not in self._chosen:
            self._chosen[key] = self._choose(hits, language)
        return self._chosen[key]

    def anywhere(self, language: str) -> tuple[int, int]:
        """The choice for a participant of an alert that names no place."""
        return best_info(self._gravest(list(enumerate(self._infos))), language), -1

    def _choose(self, hits: int, language: str) -> tuple[int, int]:
        areas: dict[int, int] = {}
        for no, places in enumerate(self._places):
            if hits >> no & 1:
                for info_no, area_no in places:
                    areas[info_no] = min(area_no, areas.get(info_no, area_no))
        info_no = best_info(
            self._gravest([(no, self._infos[no]) for no in sorted(areas)]), language
        )
        return info_no, areas[info_no]

    def _gravest(self, infos: Sequence[tuple[int, Info]]) -> list[tuple[int, Info]]:
        """Those of the gravest kind present: a live danger before its end, then by severity."""

        def weight(info: Info) -> tuple[bool, int]:
            return self._alert.ends_in(info), info.severity.rank

        gravest = min(weight(info) for _, info in infos)
        return [(no, info) for no, info in infos if weight(info) == gravest]


def _zone(area: Area) -> Zone:
    polygons = union([ring_shape(p.points) for p in area.polygons])
    shapely.prepare(polygons)
    return Zone(polygons, area.circles, frozenset(area.geocodes))

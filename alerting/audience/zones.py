"""An alert's areas, each distinct one computed once, and what they mean for a citizen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
from alerting.domain.info_selection import together, weight
from alerting.domain.language import best_info
from alerting.throttle.hazard import hazard_of

_Numbered = tuple[int, Info]


@dataclass(frozen=True)
class Zone:
    """The geometry of one or more areas that mean the same ground."""

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
        # The antimeridian has two longitudes, and a shape that ends there uses one of them.
        seam = np.flatnonzero(np.abs(lons) == 180)
        inside[seam] |= shapely.intersects_xy(self.polygons, -lons[seam], lats[seam])
        for c in self.circles:
            inside |= distance_km(c.lat, c.lon, lats, lons) * 1000 <= c.radius_km * 1000 + radii_m
        if not self.polygons.is_empty:
            near = np.flatnonzero(~inside & (radii_m > 0))
            if len(near):
                # Most discs are far away: the exact distance is computed only where it may matter.
                wide = grown(self.polygons, float(radii_m[near].max()))
                near = near[shapely.intersects_xy(wide, lons[near], lats[near])]
            for i in near:
                inside[i] = distance_m_to(self.polygons, lats[i], lons[i]) <= radii_m[i]
        return inside


class Zones:
    """All zones of an alert, and for each set of zones hit the info and area that apply.

    Args:
        now: Infos that are over by then count for nobody; None for when the alert was sent.
    """

    def __init__(self, alert: Alert, *, now: datetime | None = None) -> None:
        self._alert = alert
        self._now = now or alert.sent
        self._infos = alert.infos
        self.zones: list[Zone] = []
        known: dict[object, int] = {}
        #: For each zone, the (info, area) numbers that it stands for.
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

        Of the infos that are not over the most severe live one first, then the language read best,
        then the first area of that info the person is in; combined with infos in its language about
        other dangers.
        """
        key = (hits, language)
        if key not in self._chosen:
            self._chosen[key] = self._choose(hits, language)
        return self._chosen[key]

    def anywhere(self, language: str) -> tuple[int, int]:
        """The choice for a participant of an alert without areas."""
        infos = self._standing(list(enumerate(self._infos)))
        main = best_info(self._most_severe(infos), language)
        return self._with_others(main, infos), -1

    def ended(self, language: str) -> tuple[int, int]:
        """The choice for somebody outside the areas of an alert that ends what they were told."""
        infos = list(enumerate(self._infos))
        return self._with_others(best_info(infos, language), infos), -1

    def _choose(self, hits: int, language: str) -> tuple[int, int]:
        areas: dict[int, int] = {}
        for no, places in enumerate(self._places):
            if hits >> no & 1:
                for info_no, area_no in places:
                    areas[info_no] = min(area_no, areas.get(info_no, area_no))
        infos = self._standing([(no, self._infos[no]) for no in sorted(areas)])
        main = best_info(self._most_severe(infos), language)
        return self._with_others(main, infos), areas[main]

    def _standing(self, infos: list[_Numbered]) -> list[_Numbered]:
        """The infos that are not over, ends of dangers included; all of them when all are over."""
        standing = [
            (no, info)
            for no, info in infos
            if info.expires is None or info.expires > self._now or self._alert.ends_in(info)
        ]
        return standing or infos

    def _most_severe(self, infos: Sequence[_Numbered]) -> list[_Numbered]:
        """The infos of the most severe kind present."""
        most_severe = min(weight(self._alert, info) for _, info in infos)
        return [(no, info) for no, info in infos if weight(self._alert, info) == most_severe]

    def _with_others(self, main_no: int, infos: Sequence[_Numbered]) -> int:
        """The number of an info combined with those about other dangers.

        An info that is over only because it had expired when it was sent still has the words of a
        warning, so it is not combined with one that goes on.
        """
        if main_no < 0:
            return main_no
        main = self._infos[main_no]
        found = {_danger(main): main_no}
        main_ends = self._alert.ends_in(main)
        for no, info in sorted(infos, key=lambda pair: weight(self._alert, pair[1])):
            fits = main_ends or info.ends_danger or not self._alert.ends_in(info)
            if fits and info.language.lower() == main.language.lower():
                found.setdefault(_danger(info), no)
        return together(list(found.values()))


def _danger(info: Info) -> tuple[str, str]:
    return info.event.casefold().strip(), hazard_of(info)


def _zone(area: Area) -> Zone:
    polygons = union([ring_shape(p.points) for p in area.polygons])
    shapely.prepare(polygons)
    return Zone(polygons, area.circles, frozenset(area.geocodes))

"""Finds the citizens an alert concerns, by the live path's zones and an index of their places."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterator

import numpy as np
import shapely
from shapely import Point

from alerting.audience.zones import Zones
from alerting.domain.alert import Alert, NamedValue
from alerting.domain.citizen import geocode_bit, place_bit
from alerting.domain.geocode import key_of, ranges
from alerting.domain.geometry import grown
from alerting.domain.info_selection import numbers
from alerting.domain.language import best_info
from alerting.replay.population import Population
from alerting.replay.replay_delivery import Concerned


class Concern:
    """Answers for one alert after another, in the order they were sent.

    An end concerns everyone its event concerned, as in the live path; whether they were notified is
    for the throttle to decide.
    """

    def __init__(self, population: Population) -> None:
        self._citizens = population.citizens
        spots = [
            (p.lat, p.lon, p.radius_m, no, place_no)
            for no, c in enumerate(population.citizens)
            for place_no, p in enumerate(c.places)
        ]
        columns = np.array(spots, dtype=np.float64).reshape(-1, 5)
        self._lats, self._lons, self._radii_m = columns[:, 0], columns[:, 1], columns[:, 2]
        self._owners = columns[:, 3].astype(np.int64)
        self._place_nos = columns[:, 4].astype(np.int64)
        self._widest_m = float(self._radii_m.max(initial=0.0))
        self._tree = shapely.STRtree(
            [Point(lon, lat) for lat, lon in zip(self._lats, self._lons, strict=True)]
        )
        self._by_geocode: dict[str, list[tuple[int, int, int, NamedValue]]] = defaultdict(list)
        for no, c in enumerate(population.citizens):
            numbered = {g: n for n, g in enumerate(sorted(c.geocodes, key=str))}
            for spot, g in enumerate(c.geocodes, len(c.places)):
                bit = geocode_bit(numbered[g])
                self._by_geocode[key_of(g)].append((no, bit, 1 << spot, g))
        self._keys = sorted(self._by_geocode)
        #: The citizens each event has concerned, with their area.
        self._events: dict[Hashable, dict[int, str]] = {}
        #: Intake asks several times for the same alert.
        self._last: tuple[Alert, list[Concerned]] | None = None

    def merge(self, event: Hashable, into: Hashable) -> None:
        """Join two events that have turned out to be one."""
        moved = self._events.pop(event, {})
        self._events[into] = moved | self._events.get(into, {})

    def inside(self, alert: Alert) -> set[int]:
        """The citizens in the alert's own areas."""
        return {c.citizen for c in self._in_area(alert)}

    def of(self, alert: Alert, event: Hashable, *, partly: bool) -> tuple[list[Concerned], bool]:
        """Everyone the alert concerns, by ascending number, and whether it speaks for all of them.

        Args:
            partly: The alert is an end, and other alerts of its danger remain in force for people
                outside its areas. When its areas contain nobody concerned, it speaks for all
                anyway.
        """
        known = self._events.setdefault(event, {})
        found = self._in_area(alert)
        if not alert.ends:
            known.update((c.citizen, c.area) for c in found)
            return found, True
        inside = {c.citizen: c for c in found if c.citizen in known}
        if partly and inside:
            return list(inside.values()), False
        return self._ended(alert, known, inside), True

    def _ended(
        self, alert: Alert, known: dict[int, str], inside: dict[int, Concerned]
    ) -> list[Concerned]:
        infos = list(enumerate(alert.infos))
        result = []
        for no in sorted(known):
            anywhere = Concerned(
                no, best_info(infos, self._citizens[no].language), -1, 0, known[no], 0
            )
            result.append(inside.get(no, anywhere))
        return result

    def _in_area(self, alert: Alert) -> list[Concerned]:
        if self._last is None or self._last[0] is not alert:
            self._last = alert, self._found(alert)
        return list(self._last[1])

    def _found(self, alert: Alert) -> list[Concerned]:
        zones = Zones(alert)
        hits: dict[int, int] = defaultdict(int)
        places: dict[int, int] = defaultdict(int)
        spots: dict[int, int] = defaultdict(int)
        codes: dict[int, NamedValue] = {}
        for code, zone_no in zones.geocodes():
            for no, bit, own, held in self._holders(code):
                hits[no] |= 1 << zone_no
                places[no] |= bit
                spots[no] |= own
                codes.setdefault(no, held)
        for zone_no, spot in self._touched(zones):
            no = int(self._owners[spot])
            place_no = int(self._place_nos[spot])
            hits[no] |= 1 << zone_no
            places[no] |= place_bit(place_no)
            spots[no] |= 1 << place_no
        result = []
        for no in sorted(hits):
            info_no, area_no = zones.choose(hits[no], self._citizens[no].language)
            area = alert.infos[numbers(alert, info_no)[0]].areas[area_no]
            label = area.area_desc
            if no in codes:
                mine = self._citizens[no].geocodes
                label = str(next((g for g in area.geocodes if g in mine), codes[no]))
            result.append(Concerned(no, info_no, area_no, places[no], label, spots[no]))
        return result

    def _holders(self, code: NamedValue) -> Iterator[tuple[int, int, int, NamedValue]]:
        for keys in ranges(code):
            start, end = bisect_left(self._keys, keys.low), bisect_right(self._keys, keys.high)
            for key in self._keys[start:end]:
                yield from self._by_geocode[key]

    def _touched(self, zones: Zones) -> list[tuple[int, int]]:
        """A pair (zone, place) for every place that touches a zone."""
        if not zones.zones or not len(self._lats):
            return []
        reach = grown(zones.reach, self._widest_m)
        if reach.is_empty:
            return []
        near = np.sort(self._tree.query(reach, predicate="intersects"))
        if not len(near):
            return []
        lats, lons, radii_m = self._lats[near], self._lons[near], self._radii_m[near]
        return [
            (zone_no, int(near[i]))
            for zone_no, zone in enumerate(zones.zones)
            for i in np.flatnonzero(zone.holds(lats, lons, radii_m))
        ]

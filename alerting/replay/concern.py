"""Which citizens an alert concerns: the live path's zones, asked through an index of places."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import Point

from alerting.audience.zones import Zones
from alerting.domain.alert import Alert, MsgType, NamedValue
from alerting.domain.citizen import geocode_bit, place_bit
from alerting.domain.geometry import grown
from alerting.domain.language import best_info
from alerting.replay.links import Links, Thread
from alerting.replay.population import Population


@dataclass(frozen=True, slots=True)
class Concerned:
    """One citizen an alert concerns.

    info_no, area_no: what of the alert applies to them; -1 where none does (a cancel's notice).
    places: which of the citizen's places and geocodes are hit, as the live path's bits.
    area: the geocode hit as `name=value`, or the area's description.
    """

    citizen: int
    info_no: int
    area_no: int
    places: int
    area: str


class Concern:
    """Answers for one alert after another, in the order they were sent.

    A Cancel concerns whoever its thread concerned, wherever it says it applies, as in the live
    path; whether they were told is for the throttle to know.
    """

    def __init__(self, population: Population) -> None:
        self._citizens = population.citizens
        spots = [
            (p.lat, p.lon, p.radius_m, no, place_bit(place_no))
            for no, c in enumerate(population.citizens)
            for place_no, p in enumerate(c.places)
        ]
        columns = np.array(spots, dtype=np.float64).reshape(-1, 5)
        self._lats, self._lons, self._radii_m = columns[:, 0], columns[:, 1], columns[:, 2]
        self._owners = columns[:, 3].astype(np.int64)
        self._bits = columns[:, 4].astype(np.int64)
        self._widest_m = float(self._radii_m.max(initial=0.0))
        self._tree = shapely.STRtree(
            [Point(lon, lat) for lat, lon in zip(self._lats, self._lons, strict=True)]
        )
        self._by_geocode: dict[NamedValue, list[tuple[int, int]]] = defaultdict(list)
        for no, c in enumerate(population.citizens):
            for g in c.geocodes:
                self._by_geocode[g].append((no, geocode_bit(g.name, g.value)))
        self._links = Links()
        #: The citizens each thread has concerned, with the area they were in.
        self._threads: dict[Thread, dict[int, str]] = {}

    def of(self, alert: Alert) -> list[Concerned]:
        """Everyone the alert concerns, by ascending number."""
        thread, absorbed = self._links.place(alert)
        known = self._threads.setdefault(thread, {})
        for other in absorbed:
            known.update(self._threads.pop(other, {}))
        if alert.msg_type is MsgType.CANCEL:
            return self._cancelled(alert, known)
        found = self._in_area(alert)
        known.update((c.citizen, c.area) for c in found)
        return found

    def _cancelled(self, alert: Alert, known: dict[int, str]) -> list[Concerned]:
        infos = list(enumerate(alert.infos))
        chosen: dict[str, int] = {}
        result = []
        for no in sorted(known):
            language = self._citizens[no].language
            if language not in chosen:
                chosen[language] = best_info(infos, language) if infos else -1
            result.append(Concerned(no, chosen[language], -1, 0, known[no]))
        return result

    def _in_area(self, alert: Alert) -> list[Concerned]:
        zones = Zones(alert)
        hits: dict[int, int] = defaultdict(int)
        places: dict[int, int] = defaultdict(int)
        codes: dict[int, NamedValue] = {}
        for code, zone_no in zones.geocodes():
            for no, bit in self._by_geocode.get(code, ()):
                hits[no] |= 1 << zone_no
                places[no] |= bit
                codes.setdefault(no, code)
        for zone_no, spot in self._touched(zones):
            no = int(self._owners[spot])
            hits[no] |= 1 << zone_no
            places[no] |= int(self._bits[spot])
        result = []
        for no in sorted(hits):
            info_no, area_no = zones.choose(hits[no], self._citizens[no].language)
            area = alert.infos[info_no].areas[area_no]
            label = area.area_desc
            if no in codes:
                mine = self._citizens[no].geocodes
                label = str(next((g for g in area.geocodes if g in mine), codes[no]))
            result.append(Concerned(no, info_no, area_no, places[no], label))
        return result

    def _touched(self, zones: Zones) -> list[tuple[int, int]]:
        """(zone, place) of every place that touches a zone."""
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

"""Gather: everything that puts a citizen into an alert's areas, combined in a stream.

The directory is read by place, unsorted, so that the first citizens come at once. A citizen with
several places in the areas, or with geocodes too, is found several times and is yielded once: for
the place with the lowest number, places before geocodes. The data determine which one that is, so
no list of citizens is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerting.audience import h3_cover
from alerting.audience.zones import Zones
from alerting.domain.citizen import geocode_bit, place_bit
from alerting.domain.geocode import KeyRange, ranges
from alerting.domain.geometry import grown
from alerting.store.citizens import candidates
from alerting.store.citizens.candidates import Among, Driver, Places

#: The number of places tested before other tasks on the loop may run.
_AT_ONCE = 1000

#: The zones that fit a machine word; more are stored as Python integers.
_WORD = 62

_PLACE_BITS = np.array([place_bit(no) for no in range(8)], np.int16)
_GEOCODE_BITS = np.array([geocode_bit(no) for no in range(7)], np.int16)


@dataclass(frozen=True, slots=True)
class Ground:
    """An alert's zones as index ranges: disjoint ranges of cells, distinct ranges of geocodes.

    Attributes:
        zone_bits: For each range of geocodes its zones, as bits.
    """

    zones: Zones
    lows: list[int]
    highs: list[int]
    geocodes: list[KeyRange]
    zone_bits: list[int]

    def covers(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """A mask of the cells that are in a range."""
        if not self.lows:
            return np.zeros(len(cells), bool)
        no = np.searchsorted(np.array(self.lows), cells, side="right") - 1
        inside: NDArray[np.bool_] = (no >= 0) & (cells <= np.array(self.highs)[no])
        return inside


@dataclass(frozen=True, slots=True)
class Hits:
    """Citizens, ascending, with the zones each is in and by which of their places, as bits."""

    citizen_ids: NDArray[np.int64]
    zones: NDArray[Any]
    places: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.citizen_ids)

    def only(self, which: NDArray[Any] | slice) -> Hits:
        """Those chosen by a mask, by indexes or by a slice."""
        return Hits(self.citizen_ids[which], self.zones[which], self.places[which])


async def ground(driver: Driver, zones: Zones) -> Ground:
    """The index ranges in which the citizens of the zones are found."""
    widest_m = await candidates.widest_radius_m(driver)
    lows, highs = h3_cover.ranges(grown(zones.reach, widest_m))
    meant: dict[KeyRange, int] = {}
    for code, no in zones.geocodes():
        for keys in ranges(code):
            meant[keys] = meant.get(keys, 0) | 1 << no
    return Ground(zones, lows, highs, list(meant), list(meant.values()))


async def gather(
    driver: Driver, where: Ground, *, among: Among | None, first: int
) -> AsyncGenerator[Hits]:
    """Yield every citizen in some zone, each once; never an empty batch.

    The transaction must see one snapshot from beginning to end, so that somebody who moves
    meanwhile is not found twice, or not at all.

    Args:
        among: Only these citizens; None for all.
        first: About how many rows are read for the first batch; later batches grow.
    """
    if where.lows:
        async with aclosing(
            candidates.in_cells(driver, where.lows, where.highs, among=among, first=first)
        ) as places:
            async for part in places:
                hits = await _by_place(driver, where, part)
                if len(hits):
                    yield hits
    if where.geocodes:
        async with aclosing(
            candidates.holders(driver, where.geocodes, among=among, first=first)
        ) as holders:
            async for met in holders:
                hits = await _by_geocode(driver, where, np.array(met, np.int64))
                if len(hits):
                    yield hits


async def of_citizens(driver: Driver, where: Ground, citizen_ids: Sequence[int]) -> Hits:
    """Those of these citizens who are in some zone."""
    ids = sorted(citizen_ids)
    places, cells = await candidates.other_places(driver, ids, ids)
    places = places.only(where.covers(cells))
    zone_bits = await _zone_bits(where.zones, places)
    place_bits = _PLACE_BITS[np.minimum(places.nos, len(_PLACE_BITS) - 1)]
    held = await candidates.held(driver, where.geocodes, ids) if where.geocodes else []
    more = np.array(held, np.int64).reshape(-1, 3)
    also, as_place = _marks(where, more, zone_bits.dtype)
    return _united(
        np.concatenate((places.citizen_ids, more[:, 0])),
        np.concatenate((zone_bits, also)),
        np.concatenate((place_bits, as_place)),
    )


async def _by_place(driver: Driver, where: Ground, met: Places) -> Hits:
    """The hits among those for whom one of these places is their first."""
    others, cells = await candidates.other_places(
        driver, np.sort(met.citizen_ids).tolist(), met.citizen_ids[met.nos > 0].tolist()
    )
    places = met if not len(others) else _firsts(met, others.only(where.covers(cells)))
    ids = places.citizen_ids
    zone_bits = await _zone_bits(where.zones, places)
    place_bits = _PLACE_BITS[np.minimum(places.nos, len(_PLACE_BITS) - 1)]
    if where.geocodes and len(ids):
        held = await candidates.held(driver, where.geocodes, np.unique(ids).tolist())
        more = np.array(held, np.int64).reshape(-1, 3)
        also, as_place = _marks(where, more, zone_bits.dtype)
        ids = np.concatenate((ids, more[:, 0]))
        zone_bits = np.concatenate((zone_bits, also))
        place_bits = np.concatenate((place_bits, as_place))
    return _united(ids, zone_bits, place_bits)


def _firsts(met: Places, others: Places) -> Places:
    """All places of citizens found at their first."""
    both = met.and_(others)
    # Stable: of a place in both, the one that was found comes first.
    order = np.lexsort((both.nos, both.citizen_ids))
    ids, nos = both.citizen_ids[order], both.nos[order]
    starts = np.ones(len(ids), bool)
    starts[1:] = ids[1:] != ids[:-1]
    distinct = starts.copy()
    distinct[1:] |= nos[1:] != nos[:-1]
    met_first = (order < len(met))[np.flatnonzero(starts)]
    return both.only(order[distinct & met_first[np.cumsum(starts) - 1]])


async def _by_geocode(driver: Driver, where: Ground, met: NDArray[np.int64]) -> Hits:
    """The hits among those without a place in the ranges for whom this geocode is their first."""
    ids = np.unique(met[:, 0]).tolist()
    places, cells = await candidates.other_places(driver, ids, ids)
    found = places.citizen_ids[where.covers(cells)]
    held = np.array(await candidates.held(driver, where.geocodes, ids), np.int64).reshape(-1, 3)
    held = held[np.lexsort((held[:, 1], held[:, 0]))]
    owners, starts = np.unique(held[:, 0], return_index=True)
    first = dict(zip(owners.tolist(), held[starts, 1].tolist(), strict=True))
    here = [i for i, no in met.tolist() if first.get(i) == no]
    held = held[np.isin(held[:, 0], here) & ~np.isin(held[:, 0], found)]
    zone_bits, place_bits = _marks(where, held, _dtype(where.zones))
    return _united(held[:, 0], zone_bits, place_bits)


async def _zone_bits(zones: Zones, places: Places) -> NDArray[Any]:
    """For each place the zones that hold it."""
    bits = np.zeros(len(places), _dtype(zones))
    for start in range(0, len(places), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        lats, lons, radii_m = places.lats[some], places.lons[some], places.radii_m[some]
        for no, zone in enumerate(zones.zones):
            inside = np.flatnonzero(zone.holds(lats, lons, radii_m)) + start
            bits[inside] |= 1 << no
        await asyncio.sleep(0)
    return bits


def _marks(
    where: Ground, held: NDArray[np.int64], dtype: Any
) -> tuple[NDArray[Any], NDArray[np.int16]]:
    """Bits of zones and places of what `candidates.held` found."""
    zone_bits = np.array([0, *where.zone_bits], dtype)
    return zone_bits[held[:, 1]], _GEOCODE_BITS[np.minimum(held[:, 2], len(_GEOCODE_BITS) - 1)]


def _united(ids: NDArray[np.int64], zone_bits: NDArray[Any], place_bits: NDArray[np.int16]) -> Hits:
    """One row for each citizen who is in some zone."""
    hit = zone_bits != 0
    ids, zone_bits, place_bits = ids[hit], zone_bits[hit], place_bits[hit]
    if not len(ids):
        return Hits(ids, zone_bits, place_bits)
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
    return Hits(
        ids[starts],
        np.bitwise_or.reduceat(zone_bits[order], starts),
        np.bitwise_or.reduceat(place_bits[order], starts),
    )


def _dtype(zones: Zones) -> Any:
    """The smallest type with a bit for each zone: a run of citizens is kept in memory."""
    count = len(zones.zones)
    return np.min_scalar_type((1 << count) - 1) if count <= _WORD else object

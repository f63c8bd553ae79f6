"""Find: stream the citizens of an alert's areas out of the directory, memory flat for millions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import numpy as np
import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience import cover
from alerting.audience.zones import Zones
from alerting.domain.alert import Alert
from alerting.domain.citizen import Recipient, Target, geocode_bit
from alerting.domain.geometry import grown
from alerting.store import citizens
from alerting.store.citizens import Candidate
from alerting.store.db import raw


async def find(
    connection: AsyncConnection, alert: Alert, *, after: int = 0, batch: int = 1000
) -> AsyncIterator[list[Recipient]]:
    """Every citizen in the alert's areas with an id above `after`, ascending, each once.

    A citizen is in an area when one of their places touches a polygon or circle of it, edges
    included, or one of their geocodes equals one of its. An alert that is not for the public finds
    only members of the groups its `addresses` name; without a place it finds all of them.

    Streams through a server-side cursor on `connection`, whose transaction must stay open; about
    `batch` candidates are held at a time.
    """
    groups = None if alert.for_public else list(alert.addresses)
    if groups == []:
        return
    driver = await raw(connection)
    zones = Zones(alert)
    if zones.zones:
        candidates = await _candidates(driver, zones, after=after, groups=groups, batch=batch)
        async for part in candidates:
            hits = _hits(zones, part)
            if hits:
                yield await _recipients(driver, zones, hits)
    elif groups is not None and alert.infos:
        async for ids in citizens.members(driver, groups, after=after, batch=batch):
            yield await _recipients(driver, zones, dict.fromkeys(ids, _MISS))


async def count(connection: AsyncConnection, alert: Alert) -> int:
    """About how many citizens a public alert's areas hold: a little too many, never too few."""
    zones = Zones(alert)
    if not zones.zones:
        return 0
    driver = await raw(connection)
    return await citizens.count_candidates(driver, *await _where(driver, zones))


async def _where(
    driver: psycopg.AsyncConnection[Any], zones: Zones
) -> tuple[list[int], list[int], list[tuple[str, str, int, int]]]:
    """What to look for: cell ranges and geocodes."""
    widest_m = await citizens.widest_radius_m(driver)
    lows, highs = cover.ranges(grown(zones.reach, widest_m))
    geocodes = [(g.name, g.value, no, geocode_bit(g.name, g.value)) for g, no in zones.geocodes()]
    return lows, highs, geocodes


async def _candidates(
    driver: psycopg.AsyncConnection[Any],
    zones: Zones,
    *,
    after: int,
    groups: list[str] | None,
    batch: int,
) -> AsyncIterator[list[Candidate]]:
    """Everyone the index cannot rule out."""
    lows, highs, geocodes = await _where(driver, zones)
    return citizens.candidates(
        driver, lows, highs, geocodes, after=after, groups=groups, batch=batch
    )


class Hits(NamedTuple):
    """The zones a citizen is in, and with which of their places, both as bits."""

    zones: int
    places: int


_MISS = Hits(0, 0)


def _hits(zones: Zones, part: list[Candidate]) -> dict[int, Hits]:
    """Every citizen who is in some zone."""
    hits: dict[int, Hits] = {}

    def hit(c: Candidate, zone: int) -> None:
        so_far = hits.get(c.citizen_id, _MISS)
        hits[c.citizen_id] = Hits(so_far.zones | 1 << zone, so_far.places | c.place)

    placed = [c for c in part if c.zone is None]
    for c in part:
        if c.zone is not None:
            hit(c, c.zone)
    if placed:
        lats = np.array([c.lat for c in placed])
        lons = np.array([c.lon for c in placed])
        radii_m = np.array([c.radius_m for c in placed])
        for no, zone in enumerate(zones.zones):
            for i in np.flatnonzero(zone.holds(lats, lons, radii_m)):
                hit(placed[i], no)
    return hits


async def _recipients(
    driver: psycopg.AsyncConnection[Any], zones: Zones, hits: dict[int, Hits]
) -> list[Recipient]:
    """The citizens with their addresses in their own order of channels, by ascending id."""
    recipients = []
    for citizen_id, language, targets in await citizens.contacts(driver, sorted(hits)):
        mask, places = hits[citizen_id]
        info_no, area_no = zones.choose(mask, language) if mask else zones.anywhere(language)
        recipients.append(
            Recipient(
                citizen_id,
                language,
                info_no,
                area_no,
                tuple(Target(channel, id_, usable) for channel, id_, usable in targets),
                places,
            )
        )
    return recipients

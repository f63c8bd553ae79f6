"""Sample: draws a random sample of an audience, at a cost that does not grow with its size."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from random import Random

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience import h3_cover
from alerting.audience.find import recipients_of
from alerting.audience.gather import Ground, ground, of_citizens
from alerting.audience.zones import Zones
from alerting.domain.alert import Alert
from alerting.domain.citizen import Recipient
from alerting.store.citizens import candidates
from alerting.store.db import raw

#: Shares of the areas that are tried in this order: the first that holds enough people is used.
_SHARES = (1 / 4096, 1 / 512, 1 / 64, 1 / 8, 1.0)

#: At most this many rows are read for each citizen asked for.
_WALKED = 32

#: About this many rows are counted to estimate the size of the audience.
_COUNTED = 50_000

#: The areas are cut into this many pieces of equal length, and a part of each is sampled.
_STRETCHES = 512

#: At least this many cells are sampled; fewer might all be in one street.
_CELLS = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of an audience.

    Attributes:
        weight: How many people each citizen represents; 1.0 when the sample is the whole audience.
    """

    recipients: list[Recipient]
    weight: float


async def sample(
    connection: AsyncConnection, alert: Alert, *, most: int, now: datetime, seed: int
) -> Sample:
    """Draw at most `most` of the citizens in a public alert's areas; all when there are fewer.

    Everybody with a place in a polygon or circle has the same chance. Citizens of a large audience
    who are in it only by a geocode are left out. Reads a few thousand rows, whatever the area.

    Args:
        now: Infos that have ended by then are ignored.
        seed: The same seed draws the same sample from the same data.
    """
    zones, driver, dice = Zones(alert, now=now), await raw(connection), Random(seed)  # noqa: S311
    if not zones.zones:
        return Sample([], 1.0)
    where = await ground(driver, zones)
    met, weight = await _by_place(driver, where, most, dice)
    if weight == 1.0 and where.geocodes:
        more, held_weight = await _by_geocode(driver, where, most)
        met, weight = met | more, max(weight, held_weight)
    chosen = sorted(met)
    if len(chosen) > most:
        weight *= len(chosen) / most
        chosen = sorted(dice.sample(chosen, most))
    hits = await of_citizens(driver, where, chosen)
    return Sample(await recipients_of(driver, zones, hits) if len(hits) else [], weight)


async def _by_place(
    driver: candidates.Driver, where: Ground, most: int, dice: Random
) -> tuple[set[int], float]:
    """Citizens with a place near the areas, and how many people each represents."""
    met: set[int] = set()
    total = sum(high - low + 1 for low, high in zip(where.lows, where.highs, strict=True))
    least = min(1.0, h3_cover.CELL_SPAN * _CELLS / total) if total else 1.0
    for share in sorted({max(share, least) for share in _SHARES}):
        ranges = thinned(where.lows, where.highs, share, dice)
        # In random order, because reading stops early when there are very many.
        dice.shuffle(ranges)
        met = set()
        async with aclosing(
            candidates.in_cells(
                driver, [r[0] for r in ranges], [r[1] for r in ranges], among=None, first=2 * most
            )
        ) as places:
            async for part in places:
                met.update(part.citizen_ids.tolist())
                if len(met) > _WALKED * most:
                    break
        if 2 * len(met) >= most and (share < 1 or len(met) > most):
            return met, await _near(driver, where, len(met) / share, dice) / len(met)
    return met, 1.0


async def _near(driver: candidates.Driver, where: Ground, about: float, dice: Random) -> float:
    """Estimate how many people have a place near the areas, from a part of them that is large
    enough to be accurate and small enough to be cheap.

    Args:
        about: A rough estimate, which determines the size of that part.
    """
    share = min(1.0, _COUNTED / about)
    ranges = thinned(where.lows, where.highs, share, dice)
    lows, highs = [r[0] for r in ranges], [r[1] for r in ranges]
    found = await candidates.count(driver, lows, highs, [], unless_below=8 * _COUNTED)
    return max(found / share, 1.0)


async def _by_geocode(
    driver: candidates.Driver, where: Ground, most: int
) -> tuple[set[int], float]:
    met: set[int] = set()
    async with aclosing(
        candidates.holders(driver, where.geocodes, among=None, first=most + 1)
    ) as holders:
        async for part in holders:
            met.update(citizen_id for citizen_id, _ in part)
            if len(met) > most:
                break
    if len(met) <= most:
        return met, 1.0
    count = await candidates.count(driver, [], [], where.geocodes, unless_below=_COUNTED)
    return met, max(1.0, count / len(met))


def thinned(
    lows: Sequence[int], highs: Sequence[int], share: float, dice: Random
) -> list[tuple[int, int]]:
    """A share of these ranges: they are cut into pieces, and an equal part of each is taken."""
    if share >= 1:
        return list(zip(lows, highs, strict=True))
    ends = list(accumulate(high - low + 1 for low, high in zip(lows, highs, strict=True)))
    stretch = max(1, ends[-1] // _STRETCHES)
    length = max(1, int(stretch * share))
    found: list[tuple[int, int]] = []
    for begin in range(0, ends[-1], stretch):
        # At a random offset: an even step could follow the pattern in which cells are numbered.
        at = begin + dice.randint(0, stretch - length)
        end = min(at + length, ends[-1])
        while at < end:
            no = bisect_right(ends, at)
            until = min(end, ends[no])
            high = highs[no] - (ends[no] - until)
            found.append((high - (until - at) + 1, high))
            at = until
    return found

"""Citizens for benches: districts far apart, of given size, whose citizens have one number each.

A citizen's id is the number behind +999, so that a provider's log and the ledger can be held
against one another without a look at the directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import examples
from alerting.audience.h3_cover import cells_of
from alerting.cap import read, to_xml
from alerting.dispatch.evaluation import policies
from alerting.domain.alert import Area, Polygon, Severity
from alerting.domain.principal import internal
from alerting.store.db import raw

#: Homes in a district at most: what matters is how many live there, not where.
_HOMES = 2_000

#: Districts are squares of this size, one every `_EVERY_DEG` to the east: none is near another.
_WIDE_DEG, _EVERY_DEG = 0.2, 1.0
_SOUTH, _WEST = 54.0, -170.0


@dataclass(frozen=True, slots=True)
class District:
    """The citizens `first` to `first + count - 1` live here."""

    no: int
    first: int
    count: int

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.count)

    @property
    def _west(self) -> float:
        return _WEST + self.no * _EVERY_DEG

    def homes(self) -> tuple[list[float], list[float]]:
        """Latitudes and longitudes, the same for the same district."""
        rng = np.random.default_rng(self.no)
        inside = rng.uniform(0.05, 0.95, (min(self.count, _HOMES), 2)) * _WIDE_DEG
        return (_SOUTH + inside[:, 0]).tolist(), (self._west + inside[:, 1]).tolist()

    def polygon(self) -> Polygon:
        south, west = _SOUTH, self._west
        north, east = south + _WIDE_DEG, west + _WIDE_DEG
        return Polygon(((south, west), (south, east), (north, east), (north, west), (south, west)))

    def alert(self, severity: Severity, name: str) -> bytes:
        """The example's first info for this district alone, as an alert of its own."""
        example = read(examples.FLOOD.read_bytes()).alerts[0]
        area = Area(f"District {self.no}", polygons=(self.polygon(),))
        info = replace(example.infos[0], severity=severity, areas=(area,))
        return to_xml(replace(example, identifier=f"bench-{name}", infos=(info,)))


def districts(counts: Sequence[int]) -> list[District]:
    """One for each count, with numbers in a row from 1 on."""
    found, first = [], 1
    for no, count in enumerate(counts):
        found.append(District(no, first, count))
        first += count
    return found


async def hold_nothing_up(connection: AsyncConnection) -> None:
    """Let an alert to millions go without a second person's word."""
    await policies.set_live(
        connection, "[storm]\naudience_max = 1000000000\n", by=internal("bench-setup")
    )


async def settle_down(connection: AsyncConnection, everywhere: Sequence[District]) -> None:
    """Store all their citizens in an empty directory; a million takes seconds."""
    driver = await raw(connection)
    await driver.execute(
        "create temp table home (district int, no int, lat float8, lon float8, cell int8)"
        " on commit drop"
    )
    async with driver.cursor() as cursor, cursor.copy("copy home from stdin") as copy:
        for d in everywhere:
            lats, lons = d.homes()
            cells = cells_of(np.array(lats), np.array(lons))
            for no, row in enumerate(zip(lats, lons, cells, strict=True)):
                await copy.write_row((d.no, no, *row))
    for d in everywhere:
        bounds = {"first": d.first, "last": d.first + d.count - 1}
        await driver.execute(
            """insert into citizen (id, ref, language, channels)
               select n, 'bench-' || n, 'en', '{sms}'
               from generate_series(%(first)s::int8, %(last)s) as n""",
            bounds,
        )
        await driver.execute(
            """insert into place (citizen_id, no, lat, lon, cell)
               select n, 0, lat, lon, cell from generate_series(%(first)s::int8, %(last)s) as n
               join home on district = %(district)s and home.no = n %% %(homes)s""",
            bounds | {"district": d.no, "homes": min(d.count, _HOMES)},
        )
        await driver.execute(
            """insert into address (citizen_id, channel, endpoint)
               select n, 'sms', '+999' || to_char(n, 'FM000000000')
               from generate_series(%(first)s::int8, %(last)s) as n""",
            bounds,
        )
    for table in ("citizen", "place", "address"):
        await driver.execute(f"analyze {table}")

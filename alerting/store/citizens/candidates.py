"""Citizens whom an index finds for an area: places in ranges of cells, holders of geocodes,
members.

Nothing is sorted, so the first rows come at once however many there are. A citizen appears once for
each of their places and geocodes; `audience.gather` counts them once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from alerting.domain.geocode import KeyRange
from alerting.store.db import int8s

Driver = psycopg.AsyncConnection[Any]

#: How many times the first rows are fetched at once later on: of more citizens several stand on
#: one page, but everything else on the loop waits while they are taken in.
_GROWTH = 64

# `order by` and `lateral` keep PostgreSQL from going through all places for want of statistics on
# ranges: with them it can only walk the index, range by range.
_IN_CELLS = """
    select p.citizen_id, p.no, p.lat, p.lon, p.radius_m
    from unnest(%(lows)s::int8[], %(highs)s::int8[]) as r(low, high)
    cross join lateral (
      select citizen_id, no, lat, lon, radius_m from place
      where cell between r.low and r.high order by cell) as p"""

_KEY = """geocode_key({0}.name, {0}.value) collate "C" between z.low and z.high"""

_ASKED = "unnest(%(from)s::text[], %(to)s::text[]) with ordinality as z(low, high, no)"

# Of several geocodes of a citizen in one range only the first counts.
_HOLDERS = f"""
    select g.citizen_id, z.no
    from {_ASKED}
    cross join lateral (
      select h.citizen_id from citizen_geocode h
      where {_KEY.format("h")}
        and not exists (
          select from citizen_geocode o where o.citizen_id = h.citizen_id
            and (o.name, o.value) < (h.name, h.value) and {_KEY.format("o")})
      order by geocode_key(h.name, h.value) collate "C", h.citizen_id) as g"""  # noqa: S608

_IN_GROUPS = (
    " where exists (select from citizen c where c.id = citizen_id and c.groups && %(among)s)"
)

_MEMBERS_OF_GROUPS = "select id from citizen where groups && %(among)s"

_MEMBERS_OF_ROSTERS = """
    select distinct m.citizen_id from roster_member m join roster r on r.id = m.roster_id
    where r.name = any(%(among)s) and m.left_at is null"""

_ON_ROSTERS = f" where citizen_id in ({_MEMBERS_OF_ROSTERS})"

# Two scans of small indexes instead of one of everybody's: nearly all have one place, number 0.
_OTHERS = """
    select citizen_id, no, lat, lon, radius_m, cell from place
    where citizen_id = any(%(ids)s::int8[]) and no > 0
    union all
    select citizen_id, no, lat, lon, radius_m, cell from place
    where citizen_id = any(%(homes_of)s::int8[]) and no = 0"""

# The number of a geocode is its place among those of its citizen.
_HELD = f"""
    select g.citizen_id, z.no,
           (select count(*) from citizen_geocode o where o.citizen_id = g.citizen_id
            and (o.name, o.value) < (g.name, g.value)) as of_citizen
    from {_ASKED}
    join citizen_geocode g on {_KEY.format("g")}
    where g.citizen_id = any(%(ids)s::int8[])"""  # noqa: S608

_UNHELD = f"""
    select z.no from {_ASKED}
    where (select count(*) from (
             select from citizen_geocode g where {_KEY.format("g")} limit %(least)s) as h)
          < %(least)s"""  # noqa: S608

_ROWS = f"""
    select citizen_id from ({_IN_CELLS}) as p union all
    select citizen_id from ({_HOLDERS}) as g"""  # noqa: S608 - nothing from outside

#: The number of rows counted beyond twice what is asked about: a second's work.
_COUNTED = 500_000


@dataclass(frozen=True, slots=True)
class Among:
    """Only members of one of these: groups of the register, or rosters of drills."""

    names: Sequence[str]
    rosters: bool

    @property
    def condition(self) -> str:
        """For a query whose rows have a `citizen_id`."""
        return _ON_ROSTERS if self.rosters else _IN_GROUPS


@dataclass(frozen=True, slots=True)
class Places:
    """Places as columns of equal length.

    Attributes:
        lats, lons: Degrees.
    """

    citizen_ids: NDArray[np.int64]
    nos: NDArray[np.int64]
    lats: NDArray[np.float64]
    lons: NDArray[np.float64]
    radii_m: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.citizen_ids)

    def only(self, which: NDArray[Any]) -> Places:
        """Those chosen by a mask or by their indexes."""
        return Places(
            self.citizen_ids[which], self.nos[which], self.lats[which],
            self.lons[which], self.radii_m[which],
        )  # fmt: skip

    def and_(self, more: Places) -> Places:
        """These and then those."""
        if not len(more):
            return self
        return Places(
            np.concatenate((self.citizen_ids, more.citizen_ids)),
            np.concatenate((self.nos, more.nos)),
            np.concatenate((self.lats, more.lats)),
            np.concatenate((self.lons, more.lons)),
            np.concatenate((self.radii_m, more.radii_m)),
        )


def _places(rows: Sequence[tuple[Any, ...]]) -> Places:
    ids, nos, lats, lons, radii_m = zip(*rows, strict=True) if rows else ((),) * 5
    return Places(
        np.array(ids, np.int64), np.array(nos, np.int64), np.array(lats, float),
        np.array(lons, float), np.array(radii_m, float),
    )  # fmt: skip


async def see_one_moment(driver: Driver) -> None:
    """Give this transaction one snapshot for all its statements; called before any of them."""
    await driver.execute("set transaction isolation level repeatable read")


async def in_cells(
    driver: Driver,
    lows: Sequence[int],
    highs: Sequence[int],
    *,
    among: Among | None,
    first: int,
) -> AsyncGenerator[Places]:
    """Every place in the ranges of cells: `first` of them, then larger batches.

    Args:
        among: None for everybody's.
    """
    values: dict[str, Any] = {"lows": list(lows), "highs": list(highs)}
    query, values = _only(among, _IN_CELLS, values)
    async with aclosing(_stream(driver, "places", query, values, first=first)) as stream:
        async for rows in stream:
            yield _places(rows)


async def holders(
    driver: Driver, geocodes: Sequence[KeyRange], *, among: Among | None, first: int
) -> AsyncGenerator[list[tuple[int, int]]]:
    """(citizen id, place in `geocodes` from 1) for everybody who has a geocode in one of these
    ranges."""
    query, values = _only(among, _HOLDERS, _geocodes(geocodes))
    async with aclosing(_stream(driver, "holders", query, values, first=first)) as stream:
        async for rows in stream:
            yield rows


async def belong(driver: Driver, groups: Sequence[str], citizen_ids: Iterable[int]) -> set[int]:
    """Those of these citizens who are in one of the groups."""
    query = "select id from citizen where id = any(%(ids)s::int8[]) and groups && %(groups)s"
    cursor = await driver.execute(query, {"ids": int8s(citizen_ids), "groups": list(groups)})
    return {row[0] for row in await cursor.fetchall()}


async def members(driver: Driver, among: Among, *, first: int) -> AsyncGenerator[list[int]]:
    """Ids of all members, each once."""
    query = _MEMBERS_OF_ROSTERS if among.rosters else _MEMBERS_OF_GROUPS
    values = {"among": list(among.names)}
    async with aclosing(_stream(driver, "members", query, values, first=first)) as stream:
        async for rows in stream:
            yield [row[0] for row in rows]


async def other_places(
    driver: Driver, citizen_ids: Iterable[int], homes_of: Iterable[int]
) -> tuple[Places, NDArray[np.int64]]:
    """The places above number 0 of `citizen_ids` and those of number 0 of `homes_of`.

    Returns the cells they are in beside them.
    """
    cursor = driver.cursor(binary=True)
    await cursor.execute(_OTHERS, {"ids": int8s(citizen_ids), "homes_of": int8s(homes_of)})
    rows = await cursor.fetchall()
    return _places([row[:5] for row in rows]), np.array([row[5] for row in rows], np.int64)


async def held(
    driver: Driver, geocodes: Sequence[KeyRange], citizen_ids: Iterable[int]
) -> list[tuple[int, int, int]]:
    """The rows of `holders` for these citizens, with the number of the geocode among all of the
    citizen's, from 0."""
    values = _geocodes(geocodes) | {"ids": int8s(citizen_ids)}
    return await (await driver.execute(_HELD, values)).fetchall()


async def unheld(driver: Driver, geocodes: Sequence[KeyRange], *, least: int) -> set[int]:
    """The positions in `geocodes`, from 0, of those that fewer than `least` have a geocode in."""
    values = _geocodes(geocodes) | {"least": least}
    rows = await (await driver.execute(_UNHELD, values)).fetchall()
    return {no - 1 for (no,) in rows}


async def count(
    driver: Driver,
    lows: Sequence[int],
    highs: Sequence[int],
    geocodes: Sequence[KeyRange],
    *,
    unless_below: int,
) -> int:
    """The number of citizens with a place or geocode among these; exact only where it matters.

    Where places and geocodes together are not more than `unless_below`, they are counted instead of
    citizens: that is much quicker, and too high at most up to that number. A very large audience is
    counted in part; the answer is then too low, and above `unless_below`.
    """
    values: dict[str, Any] = {"lows": list(lows), "highs": list(highs), **_geocodes(geocodes)}
    values["limit"] = unless_below + 1
    query = f"select count(*) from ({_ROWS} limit %(limit)s) as found"  # noqa: S608
    row = await (await driver.execute(query, values)).fetchone()
    if row is None or row[0] <= unless_below:
        return int(row[0]) if row else 0
    values["limit"] = 2 * unless_below + _COUNTED
    query = f"""select count(distinct citizen_id), count(*)
                from ({_ROWS} limit %(limit)s) as found"""  # noqa: S608
    row = await (await driver.execute(query, values)).fetchone()
    citizens, rows = row or (0, 0)
    return int(citizens) if rows < values["limit"] else max(int(citizens), unless_below + 1)


async def widest_radius_m(driver: Driver) -> float:
    """The largest radius of any place; 0 where all are points."""
    row = await (
        await driver.execute("select max(radius_m) from place where radius_m > 0")
    ).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


def _only(among: Among | None, query: str, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A query over everybody, restricted to some."""
    if among is None:
        return query, values
    return query + among.condition, values | {"among": list(among.names)}


def _geocodes(geocodes: Sequence[KeyRange]) -> dict[str, Any]:
    return {"from": [g.low for g in geocodes], "to": [g.high for g in geocodes]}


async def _stream(
    driver: Driver, name: str, query: str, values: dict[str, Any], *, first: int
) -> AsyncGenerator[list[Any]]:
    """The rows through a server-side cursor: `first` of them, then larger batches."""
    size = first
    async with driver.cursor(name=name, binary=True) as cursor:
        await cursor.execute(query, values)
        while rows := await cursor.fetchmany(size):
            yield rows
            size = min(size * 2, first * _GROWTH)

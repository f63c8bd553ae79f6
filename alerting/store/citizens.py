"""The directory of citizens: who they are, how they are reached, where they want to be warned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.errors import NotFound
from alerting.store import audit
from alerting.store.schema import address

Driver = psycopg.AsyncConnection[Any]

_CANDIDATES = """
    select p.citizen_id, p.lat, p.lon, p.radius_m, null::int as zone,
           1 << least(p.no, 7) as place
    from unnest(%(lows)s::int8[], %(highs)s::int8[]) as r(low, high)
    join place p on p.cell between r.low and r.high
    where p.citizen_id > %(after)s {groups}
    union all
    select g.citizen_id, null, null, null, z.no, z.place
    from unnest(%(names)s::text[], %(values)s::text[], %(nos)s::int4[], %(places)s::int4[])
      as z(name, value, no, place)
    join citizen_geocode g on g.name = z.name and g.value = z.value
    where g.citizen_id > %(after)s {groups}"""

_COUNT = f"select count(distinct citizen_id) from ({_CANDIDATES.format(groups='')}) as found"  # noqa: S608

_IN_GROUPS = (
    " and exists (select from citizen c where c.id = citizen_id and c.groups && %(groups)s)"
)

#: Channels a citizen did not rank come last, in the order of `channels.registry.CHANNELS`.
_CONTACTS = """
    select c.id, c.language, a.channel, a.id,
           a.consent and a.verified and a.suspended_reason is null
    from unnest(%s::int8[]) as w(id) join citizen c using (id)
    left join address a on a.citizen_id = c.id
    order by c.id, array_position(c.channels, a.channel) nulls last,
             array_position(array['push','sms','email'], a.channel), a.id"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place the index could not rule out, or a citizen whose geocode equals a zone's.

    place: the bit of the place (`domain.citizen.place_bit`) or of the geocode.
    """

    citizen_id: int
    lat: float | None
    lon: float | None
    radius_m: float | None
    zone: int | None
    place: int


async def candidates(
    driver: Driver,
    lows: Sequence[int],
    highs: Sequence[int],
    geocodes: Sequence[tuple[str, str, int, int]],
    *,
    after: int,
    groups: Sequence[str] | None,
    batch: int,
) -> AsyncIterator[list[Candidate]]:
    """Places in the cell ranges and holders of the geocodes, by ascending citizen.

    geocodes: (name, value, zone number, bit). groups: only members of one of them; None for all.
    A citizen's rows are never split over two batches.
    """
    query = _CANDIDATES.format(groups="" if groups is None else _IN_GROUPS) + " order by 1"
    async with driver.cursor(name="candidates", row_factory=class_row(Candidate)) as cursor:
        await cursor.execute(
            query,
            {
                "lows": list(lows),
                "highs": list(highs),
                "names": [g[0] for g in geocodes],
                "values": [g[1] for g in geocodes],
                "nos": [g[2] for g in geocodes],
                "places": [g[3] for g in geocodes],
                "after": after,
                "groups": None if groups is None else list(groups),
            },
        )
        held: list[Candidate] = []
        while rows := await cursor.fetchmany(batch):
            held += rows
            whole = [c for c in held if c.citizen_id != held[-1].citizen_id]
            if whole:
                yield whole
            held = held[len(whole) :]
        if held:
            yield held


async def count_candidates(
    driver: Driver,
    lows: Sequence[int],
    highs: Sequence[int],
    geocodes: Sequence[tuple[str, str, int, int]],
) -> int:
    """How many citizens `candidates` would find."""
    cursor = await driver.execute(
        _COUNT,
        {
            "lows": list(lows),
            "highs": list(highs),
            "names": [g[0] for g in geocodes],
            "values": [g[1] for g in geocodes],
            "nos": [g[2] for g in geocodes],
            "places": [g[3] for g in geocodes],
            "after": 0,
        },
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def members(
    driver: Driver, groups: Sequence[str], *, after: int, batch: int
) -> AsyncIterator[list[int]]:
    """Ids of everybody in one of the groups, ascending."""
    async with driver.cursor(name="members") as cursor:
        await cursor.execute(
            "select id from citizen where groups && %s and id > %s order by id",
            (list(groups), after),
        )
        while rows := await cursor.fetchmany(batch):
            yield [row[0] for row in rows]


async def widest_radius_m(driver: Driver) -> float:
    """The largest radius of any place; 0 where all are points."""
    row = await (
        await driver.execute("select max(radius_m) from place where radius_m > 0")
    ).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


async def contacts(
    driver: Driver, citizen_ids: Sequence[int]
) -> list[tuple[int, str, list[tuple[str, int, bool]]]]:
    """For each citizen (id, language, [(channel, address id, usable)] in their order), by id."""
    cursor = await driver.execute(_CONTACTS, (list(citizen_ids),))
    found: list[tuple[int, str, list[tuple[str, int, bool]]]] = []
    for citizen_id, language, channel, address_id, usable in await cursor.fetchall():
        if not found or found[-1][0] != citizen_id:
            found.append((citizen_id, language, []))
        if address_id is not None:
            found[-1][2].append((channel, address_id, usable))
    return found


async def set_consent(
    connection: AsyncConnection, address_id: int, consent: bool, actor: str
) -> str:
    """Give or withdraw consent for one address; returns its channel. Raises NotFound.

    What a citizen withdrew stays withdrawn whatever a register says later.
    """
    withdrawn_at = None if consent else func.now()
    query = (
        update(address)
        .where(address.c.id == address_id)
        .values(consent=consent, withdrawn_at=withdrawn_at, updated_at=func.now())
        .returning(address.c.channel)
    )
    channel: str | None = await connection.scalar(query)
    if channel is None:
        raise NotFound("This address is no longer known.")
    action = "consent.give" if consent else "consent.withdraw"
    await audit.record(connection, actor, action, f"address {address_id}")
    return channel


async def suspend(connection: AsyncConnection, address_ids: Sequence[int], reason: str) -> None:
    """Stop using addresses that a provider calls dead or gone, until they are verified anew."""
    await connection.execute(
        update(address)
        .where(address.c.id.in_(address_ids), address.c.suspended_reason.is_(None))
        .values(suspended_reason=reason, updated_at=func.now())
    )


async def stats(connection: AsyncConnection) -> dict[str, Any]:
    """How many citizens, places, geocodes, and addresses by channel and usability."""
    usable = address.c.consent & address.c.verified & address.c.suspended_reason.is_(None)
    query = (
        select(address.c.channel, func.count(), func.count().filter(usable))
        .group_by(address.c.channel)
        .order_by(address.c.channel)
    )
    channels = {
        channel: {"addresses": total, "usable": good}
        for channel, total, good in await connection.execute(query)
    }
    counts = {}
    for name in ("citizen", "place", "citizen_geocode"):
        counts[name] = await connection.scalar(select(func.count()).select_from(_table(name)))
    return {
        "citizens": counts["citizen"],
        "places": counts["place"],
        "geocodes": counts["citizen_geocode"],
        "channels": channels,
    }


def _table(name: str) -> Any:
    return address.metadata.tables[name]

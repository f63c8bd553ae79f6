"""Rosters: who takes part in drills, by a consent of their own, and the passes of their addresses.

A membership that ended stays on record with its end; its passes do not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import class_row
from sqlalchemy import delete, distinct, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.errors import Conflict, NotFound
from alerting.store.db import raw
from alerting.store.schema import address, citizen, roster, roster_member, roster_pass


@dataclass(frozen=True, slots=True)
class Listed:
    """One roster.

    Attributes:
        members: Who takes part now.
        left: Who did and does no longer.
        unready: Addresses of members that no drill can be sent to before it is planned anew.
    """

    name: str
    members: int
    left: int
    unready: int
    created_at: datetime
    created_by: str

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "members": self.members,
            "left": self.left,
            "unready": self.unready,
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
        }


@dataclass(frozen=True, slots=True)
class Member:
    """One citizen of a roster, by the register's key."""

    citizen: str
    consent_at: datetime
    left_at: datetime | None
    source: str

    def to_json(self) -> dict[str, Any]:
        return {
            "citizen": self.citizen,
            "consent_at": self.consent_at.isoformat(),
            "left_at": self.left_at.isoformat() if self.left_at else None,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An address of a member, with the pass it has; none is empty."""

    roster_id: UUID
    address_id: int
    channel: str
    endpoint: str
    drill_pass: bytes


async def create(connection: AsyncConnection, name: str, *, by: str) -> None:
    """Make an empty roster. Raises Conflict where there is one of this name."""
    new = insert(roster).values(id=uuid4(), name=name, created_by=by)
    query = new.on_conflict_do_nothing().returning(roster.c.id)
    if await connection.scalar(query) is None:
        raise Conflict(f"There is a roster {name} already.")


async def id_of(connection: AsyncConnection, name: str) -> UUID:
    """The roster of this name. Raises NotFound."""
    found: UUID | None = await connection.scalar(select(roster.c.id).where(roster.c.name == name))
    if found is None:
        raise NotFound(
            f"There is no roster {name}.", remedy=f"`alerting drill roster create {name}` makes it."
        )
    return found


async def names(connection: AsyncConnection) -> list[str]:
    """The names of all rosters, in order."""
    return list(await connection.scalars(select(roster.c.name).order_by(roster.c.name)))


async def citizens(connection: AsyncConnection, refs: Collection[str]) -> dict[str, int]:
    """The ids of those citizens who are in the register, by its own key."""
    query = select(citizen.c.ref, citizen.c.id).where(citizen.c.ref.in_(refs))
    return {row.ref: row.id for row in await connection.execute(query)}


async def has_left(
    connection: AsyncConnection, roster_id: UUID, citizen_ids: Collection[int]
) -> set[int]:
    """Those of the citizens who took part and do no longer."""
    query = select(roster_member.c.citizen_id).where(
        roster_member.c.roster_id == roster_id,
        roster_member.c.citizen_id.in_(citizen_ids),
        roster_member.c.left_at.is_not(None),
    )
    return set(await connection.scalars(query))


async def enrol(
    connection: AsyncConnection, roster_id: UUID, citizen_ids: Collection[int], *, source: str
) -> int:
    """Make them members from now on; returns how many were none before."""
    if not citizen_ids:
        return 0
    new = insert(roster_member).values(
        [{"roster_id": roster_id, "citizen_id": i, "source": source} for i in sorted(citizen_ids)]
    )
    query = new.on_conflict_do_update(
        index_elements=["roster_id", "citizen_id"],
        set_={"consent_at": func.now(), "left_at": None, "source": new.excluded.source},
        where=roster_member.c.left_at.is_not(None),
    ).returning(roster_member.c.citizen_id)
    return len((await connection.execute(query)).all())


async def leave(
    connection: AsyncConnection, citizen_ids: Collection[int], roster_id: UUID | None = None
) -> int:
    """End their membership of one roster, or of all; returns how many ended.

    Their passes go with it: what is on its way to them is stopped.
    """
    memberships = update(roster_member).where(
        roster_member.c.citizen_id.in_(citizen_ids), roster_member.c.left_at.is_(None)
    )
    theirs = select(address.c.id).where(address.c.citizen_id.in_(citizen_ids))
    passes = delete(roster_pass).where(roster_pass.c.address_id.in_(theirs))
    if roster_id is not None:
        memberships = memberships.where(roster_member.c.roster_id == roster_id)
        passes = passes.where(roster_pass.c.roster_id == roster_id)
    # The memberships first: whoever makes passes holds them meanwhile (`enrolled`).
    ended = await connection.execute(memberships.values(left_at=func.clock_timestamp()))
    await connection.execute(passes)
    return ended.rowcount


async def citizen_at(connection: AsyncConnection, address_id: int) -> int:
    """Whose address this is. Raises NotFound."""
    found: int | None = await connection.scalar(
        select(address.c.citizen_id).where(address.c.id == address_id)
    )
    if found is None:
        raise NotFound("This address is no longer known.")
    return found


async def enrolled(connection: AsyncConnection, names: Sequence[str]) -> list[Enrolled]:
    """Every address of the rosters' members. Nobody leaves before the transaction ends."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(Enrolled)) as cursor:
        await cursor.execute(
            """select m.roster_id, a.id as address_id, a.channel, a.endpoint,
                      coalesce(p.pass, '') as drill_pass
               from roster r
               join roster_member m on m.roster_id = r.id and m.left_at is null
               join address a on a.citizen_id = m.citizen_id
               left join roster_pass p on p.roster_id = r.id and p.address_id = a.id
               where r.name = any(%s) order by m.roster_id, a.id for share of m""",
            (list(names),),
        )
        return await cursor.fetchall()


async def add_passes(
    connection: AsyncConnection, passes: Sequence[tuple[UUID, int, bytes]]
) -> None:
    """Give addresses their passes (roster, address, pass), in place of those they had."""
    if not passes:
        return
    new = insert(roster_pass).values(
        [{"roster_id": r, "address_id": a, "pass": p} for r, a, p in passes]
    )
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=["roster_id", "address_id"], set_={"pass": new.excluded["pass"]}
        )
    )


async def count_members(connection: AsyncConnection, names: Sequence[str]) -> int:
    """How many citizens take part in any of these rosters."""
    query = (
        select(func.count(distinct(roster_member.c.citizen_id)))
        .join(roster, roster.c.id == roster_member.c.roster_id)
        .where(roster.c.name.in_(names), roster_member.c.left_at.is_(None))
    )
    return int(await connection.scalar(query) or 0)


async def listing(connection: AsyncConnection) -> list[Listed]:
    """All rosters by name."""
    driver = await raw(connection)
    async with driver.cursor(row_factory=class_row(Listed)) as cursor:
        await cursor.execute(
            """select r.name, r.created_at, r.created_by,
                      count(m) filter (where m.left_at is null) as members,
                      count(m) filter (where m.left_at is not null) as left,
                      (select count(*) from roster_member n join address a using (citizen_id)
                       where n.roster_id = r.id and n.left_at is null and not exists (
                         select from roster_pass p
                         where p.roster_id = r.id and p.address_id = a.id)) as unready
               from roster r left join roster_member m on m.roster_id = r.id
               group by r.id order by r.name"""
        )
        return await cursor.fetchall()


async def members(connection: AsyncConnection, roster_id: UUID) -> list[Member]:
    """Everybody who takes part in a roster or did, by the register's key."""
    query = (
        select(
            citizen.c.ref.label("citizen"),
            roster_member.c.consent_at,
            roster_member.c.left_at,
            roster_member.c.source,
        )
        .join(citizen, citizen.c.id == roster_member.c.citizen_id)
        .where(roster_member.c.roster_id == roster_id)
        .order_by(citizen.c.ref)
    )
    return [Member(**row._mapping) for row in await connection.execute(query)]


async def only_groups(connection: AsyncConnection) -> bool:
    """True where citizens are in groups of the register and there is no roster yet."""
    grouped = select(citizen.c.id).where(func.cardinality(citizen.c.groups) > 0).exists()
    return bool(await connection.scalar(select(grouped & ~select(roster.c.id).exists())))

"""People: who may act. A person is ended, never deleted, because the audit names them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Status
from alerting.domain.principal import RIGHTS, Principal
from alerting.errors import BadInput, Conflict, Forbidden, NotFound
from alerting.store import audit_log
from alerting.store.schema import api_key, person

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

#: A name in the audit is one word, after its kind and a colon.
_NAME = re.compile(r"[^\s:]{1,100}")

#: `[` would begin a class of characters.
_PATTERN = re.compile(r"[^\s\[\]]{1,200}")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may act, and with which rights. `uid` is their account on this machine."""

    id: UUID
    name: str
    uid: int | None
    principal: Principal
    created_at: datetime
    ended_at: datetime | None


async def add(
    connection: AsyncConnection,
    name: str,
    *,
    by: Principal | None,
    rights: Iterable[str],
    senders: Sequence[str],
    statuses: Iterable[Status] = tuple(Status),
    area: BaseGeometry | None = None,
    uid: int | None = None,
) -> Person:
    """Add a person. The first is added by nobody and may add others.

    Raises Forbidden, BadInput for invalid values, Conflict for a name or uid that is taken.
    """
    await _lock_writers(connection)
    first = by is None and not await anybody(connection)
    if by is not None:
        by.require("people")
    elif not first:
        raise Forbidden(
            "Only the first person is added by nobody.",
            remedy="Somebody with the right 'people' adds others (`alerting people list`).",
        )
    values = checked(name, rights, senders, statuses, area)
    if first and "people" not in values["rights"]:
        raise BadInput("The first person needs the right 'people', to add others.")
    if await _one(connection, person.c.name == name) is not None:
        raise Conflict(f"A person named {name!r} exists.", remedy="Choose another name.")
    if uid is not None and (other := await by_uid(connection, uid)) is not None:
        raise Conflict(f"{other.name} has the uid {uid}.", remedy="A person has an account alone.")
    values |= {"id": uuid4(), "uid": uid}
    row = (await connection.execute(insert(person).values(values).returning(person))).one()
    actor = by.actor if by is not None else f"person:{name}"
    detail = {"rights": values["rights"], "senders": values["senders"], "uid": uid}
    await audit_log.record(connection, actor, "person.add", name, detail)
    return _person(row)


async def end(connection: AsyncConnection, name: str, *, by: Principal) -> None:
    """End a person and revoke their keys, at once and for good; the uid may be given to another
    person.

    Raises Forbidden, NotFound, and Conflict for the last one who may add people.
    """
    by.require("people")
    await _lock_writers(connection)
    gone = await named(connection, name)
    others = [p for p in await every(connection) if p.ended_at is None and p.id != gone.id]
    if not any(p.principal.may("people") for p in others):
        raise Conflict("Nobody could add people any more.", remedy="Add another who may, first.")
    await connection.execute(
        update(person).where(person.c.id == gone.id).values(ended_at=func.now(), uid=None)
    )
    await connection.execute(
        update(api_key)
        .where(api_key.c.person_id == gone.id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    await audit_log.record(connection, by.actor, "person.end", name, {"uid": gone.uid})


async def every(connection: AsyncConnection) -> list[Person]:
    """All present and former people, oldest first."""
    rows = await connection.execute(select(person).order_by(person.c.created_at, person.c.name))
    return [_person(row) for row in rows]


async def anybody(connection: AsyncConnection) -> bool:
    """True once there is, or was, a person."""
    return await connection.scalar(select(person.c.id).limit(1)) is not None


async def named(connection: AsyncConnection, name: str) -> Person:
    """A person who has not ended. Raises NotFound."""
    found = await _one(connection, person.c.name == name)
    if found is None or found.ended_at is not None:
        raise NotFound(f"There is no person {name!r}.", remedy="`alerting people list`.")
    return found


async def get(connection: AsyncConnection, person_id: UUID) -> Person | None:
    return await _one(connection, person.c.id == person_id)


async def by_uid(connection: AsyncConnection, uid: int) -> Person | None:
    """The person whose account on this machine has this uid."""
    return await _one(connection, person.c.uid == uid, person.c.ended_at.is_(None))


def checked(
    name: str,
    rights: Iterable[str],
    senders: Sequence[str],
    statuses: Iterable[Status],
    area: BaseGeometry | None,
) -> dict[str, Any]:
    """The columns that a person and a key have in common. Raises BadInput."""
    wanted = set(rights)
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise BadInput(
            f"{name[:100]!r} is no name.", remedy="Use one word of at most 100 characters, no ':'."
        )
    if unknown := sorted(wanted.difference(RIGHTS)):
        raise BadInput(f"There is no right {unknown[0]!r}.", remedy=f"Use {', '.join(RIGHTS)}.")
    if not wanted:
        raise BadInput(f"{name} needs a right.", remedy=f"Use {', '.join(RIGHTS)}.")
    for pattern in senders:
        if not _PATTERN.fullmatch(pattern) or not pattern.isprintable():
            raise BadInput(
                f"{pattern[:200]!r} is no sender.",
                remedy="It is one word like *@example.org, with * and ? as in file names.",
            )
    if wanted & {"submit", "approve"} and not senders:
        raise BadInput(
            f"It is not said for which senders {name} speaks.",
            remedy="Give --sender PATTERN, like '*@example.org'; '*' is everybody.",
        )
    values = {
        "name": name,
        "rights": [r for r in RIGHTS if r in wanted],
        "senders": list(dict.fromkeys(senders)),
        "statuses": [s.value for s in Status if s in set(statuses)],
    }
    # Without one the column is SQL's null, not JSON's.
    if area is None:
        return values
    from alerting.domain.ground import to_geojson

    return values | {"area": to_geojson(area)}


def _area(document: dict[str, Any] | None) -> BaseGeometry | None:
    """The area's shape. Imported late: few have one, and shapely is slow to import."""
    if document is None:
        return None
    from alerting.domain.ground import read_geojson

    return read_geojson(document)


def principal_of(
    row: Row[Any], actor: str, person_id: UUID | None, holders: Iterable[UUID] = ()
) -> Principal:
    """Who acts, from the row of a person or a key."""
    return Principal(
        actor,
        person_id,
        rights=frozenset(row.rights),
        senders=tuple(row.senders),
        statuses=frozenset(map(Status, row.statuses)),
        area=_area(row.area),
        holders=frozenset(holders),
    )


async def _one(connection: AsyncConnection, *where: ColumnElement[bool]) -> Person | None:
    row = (await connection.execute(select(person).where(*where))).first()
    return None if row is None else _person(row)


def _person(row: Row[Any]) -> Person:
    return Person(
        row.id,
        row.name,
        row.uid,
        principal_of(row, f"person:{row.name}", row.id),
        row.created_at,
        row.ended_at,
    )


async def _lock_writers(connection: AsyncConnection) -> None:
    """Serialise changes; readers never wait."""
    await connection.execute(text("lock table person in share row exclusive mode"))

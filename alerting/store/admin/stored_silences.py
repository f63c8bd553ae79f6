"""Silences as stored: written once, ended at most once, never deleted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, cast, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.errors import BadInput, NotFound
from alerting.store import audit_log
from alerting.store.schema import silence


@dataclass(frozen=True, slots=True)
class StoredSilence:
    """One silence. `matchers`: objects with field, op and value; `area`: CAP's area in JSON.

    It applies from `starts_at` to `ends_at`, or to `ended_at` where somebody ended it earlier.
    """

    id: UUID
    matchers: list[dict[str, str]]
    area: dict[str, Any] | None
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str
    created_at: datetime
    ended_by: str
    ended_at: datetime | None


_FIELDS = [silence.c[name] for name in StoredSilence.__slots__]


def _stored(row: Row[Any]) -> StoredSilence:
    return StoredSilence(**row._mapping)


async def add(
    connection: AsyncConnection,
    silence_id: UUID,
    *,
    matchers: list[dict[str, str]],
    area: dict[str, Any] | None,
    starts_at: datetime,
    ends_at: datetime,
    comment: str,
    by: str,
) -> StoredSilence:
    """Write a validated silence."""
    values: dict[str, Any] = {
        "id": silence_id,
        "matchers": matchers,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "comment": comment,
        "created_by": by,
    }
    if area is not None:  # without it the column is SQL's null, not JSON's
        values["area"] = area
    row = (await connection.execute(insert(silence).values(values).returning(*_FIELDS))).one()
    detail = {"matchers": len(matchers), "area": area is not None, "ends_at": ends_at.isoformat()}
    await audit_log.record(connection, by, "silence.add", str(silence_id), detail)
    return _stored(row)


async def in_force(connection: AsyncConnection, now: datetime) -> list[StoredSilence]:
    """The silences that apply now or later, oldest first."""
    query = (
        select(*_FIELDS)
        .where(silence.c.ends_at > now, silence.c.ended_at.is_(None))
        .order_by(silence.c.created_at, silence.c.id)
    )
    return [_stored(row) for row in await connection.execute(query)]


async def every(
    connection: AsyncConnection, *, now: datetime, over: bool = False, limit: int = 1000
) -> list[StoredSilence]:
    """The silences that apply now or later, with `over` past ones too; newest first."""
    query = select(*_FIELDS).order_by(silence.c.created_at.desc(), silence.c.id).limit(limit)
    if not over:
        query = query.where(silence.c.ends_at > now, silence.c.ended_at.is_(None))
    return [_stored(row) for row in await connection.execute(query)]


async def end(connection: AsyncConnection, name: str, *, by: str, now: datetime) -> StoredSilence:
    """End a silence at once. `name` is its id or at least the first six characters of it.

    Raises NotFound where no silence in force has it, BadInput where several do.
    """
    if not re.fullmatch(r"[0-9a-f-]{6,36}", name.lower()):
        raise BadInput(f"{name[:80]!r} is no silence's id.", remedy="`alerting silence list`.")
    query = (
        select(silence.c.id)
        .where(
            cast(silence.c.id, Text).startswith(name.lower()),
            silence.c.ends_at > now,
            silence.c.ended_at.is_(None),
        )
        .with_for_update()
    )
    found = list((await connection.execute(query)).scalars())
    if not found:
        raise NotFound(f"There is no silence {name} that still holds or is to come.")
    if len(found) > 1:
        raise BadInput(f"Several silences begin with {name}.", remedy="Give more of the id.")
    ended = (
        update(silence)
        .where(silence.c.id == found[0])
        .values(ended_by=by, ended_at=now)
        .returning(*_FIELDS)
    )
    row = (await connection.execute(ended)).one()
    await audit_log.record(connection, by, "silence.end", str(found[0]))
    return _stored(row)

"""Who did what to what, written beside the change itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.schema import audit

_CITIZEN = "citizen "


async def record(
    connection: AsyncConnection,
    actor: str,
    action: str,
    subject: str,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write one line in the transaction of the change, so that both are committed or neither.

    `detail` never holds an address, a token or a message's text; it may hold the reason that a
    person gave.

    Args:
        actor: `person:NAME`, `person:NAME key:KEY`, `key:KEY` for a machine, `uid:NUMBER` for an
            operator who is no known person, `citizen` or `scheduler`.
        subject: The id of the alert for everything that is done to an alert.
    """
    values = {"actor": actor, "action": action, "subject": subject, "detail": detail or {}}
    await connection.execute(insert(audit).values(_storable(values)))


def _storable(value: Any) -> Any:
    """The same without characters that PostgreSQL cannot store: people's words may contain
    anything."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _storable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(inner) for inner in value]
    return value


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        seq, hash: None until it is sealed (`store.audit_chain`).
    """

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    seq: int | None
    hash: bytes | None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "detail": self.detail,
            "seq": self.seq,
            "hash": self.hash.hex() if self.hash is not None else None,
        }


def entry(row: Row[Any]) -> Entry:
    """A row of the table, its time in UTC."""
    digest = bytes(row.hash) if row.hash is not None else None
    return Entry(
        row.id,
        row.at.astimezone(UTC),
        row.actor,
        row.action,
        row.subject,
        row.detail,
        row.seq,
        digest,
    )


async def page(
    connection: AsyncConnection,
    *,
    subjects: Sequence[str] = (),
    actor: str = "",
    action: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Entry]:
    """The lines that match everything given, newest first.

    Args:
        subjects: Any of these; `citizen REF` also finds lines that name that citizen in their
            detail.
        actor: `person:ada` also finds what she did by a key of hers.
        action: `key` finds all whose names begin with `key.`.
        before: Only lines with a lower id.
    """
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if subjects:
        refs = [s.removeprefix(_CITIZEN) for s in subjects if s.startswith(_CITIZEN)]
        named = [
            audit.c.detail.contains(detail)
            for ref in refs
            for detail in ({"citizen": ref}, {"citizens": [ref]})
        ]
        query = query.where(or_(audit.c.subject.in_(subjects), *named))
    if actor:
        by_key = audit.c.actor.startswith(f"{actor} key:", autoescape=True)
        query = query.where((audit.c.actor == actor) | by_key)
    if action:
        kind = audit.c.action.startswith(f"{action}.", autoescape=True)
        query = query.where((audit.c.action == action) | kind)
    if since is not None:
        query = query.where(audit.c.at >= since)
    if until is not None:
        query = query.where(audit.c.at < until)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [entry(row) for row in await connection.execute(query)]

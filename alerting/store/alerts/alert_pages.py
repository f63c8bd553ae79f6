"""Alerts page by page, newest first, without reading their deliveries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, cast, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.store.schema import alert


@dataclass(frozen=True, slots=True)
class Row:
    """One alert of a list.

    Attributes:
        severities, events: Of its infos, in order.
        document: The alert as CAP in JSON, where it was asked for.
    """

    id: UUID
    sender: str
    identifier: str
    sent_at: datetime
    status: str
    msg_type: str
    scope: str
    lane: str
    state: str
    state_reason: str
    submitted_at: datetime
    expires_at: datetime
    planned_at: datetime | None
    audience: int
    severities: list[str]
    events: list[str]
    document: dict[str, Any] | None = None


def _of_infos(name: str) -> ColumnElement[Any]:
    return func.jsonb_path_query_array(alert.c.document, cast(f"$.info[*].{name}", JSONPATH))


_FIELDS = [
    *(alert.c[name] for name in Row.__slots__ if name in alert.c and name != "document"),
    _of_infos("severity").label("severities"),
    _of_infos("event").label("events"),
]


async def rows(
    connection: AsyncConnection,
    *,
    states: Collection[AlertState] = (),
    sender: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
    documents: bool = False,
) -> list[Row]:
    """Up to `limit` alerts, the last sent first.

    Args:
        states: Only alerts in one of these; empty for all.
        sender: Only this sender's, in any case.
        since, until: Only alerts sent at or after `since` and before `until`.
        after: `sent_at` and `id` of the last alert of the page before.
        documents: Include documents, which may be large.
    """
    query = select(*_FIELDS, *([alert.c.document] if documents else []))
    if states:
        query = query.where(alert.c.state.in_([s.value for s in states]))
    if sender is not None:
        query = query.where(func.lower(alert.c.sender) == sender.lower())
    if since is not None:
        query = query.where(alert.c.sent_at >= since)
    if until is not None:
        query = query.where(alert.c.sent_at < until)
    if after is not None:
        at, _ = after
        # The first says what the second does, and is what the index answers.
        query = query.where(
            alert.c.sent_at <= at, tuple_(alert.c.sent_at, alert.c.id) < tuple_(*after)
        )
    ordered = query.order_by(alert.c.sent_at.desc(), alert.c.id.desc()).limit(limit)
    return [Row(**row._mapping) for row in await connection.execute(ordered)]


async def held(connection: AsyncConnection) -> dict[str, int]:
    """The number of alerts that wait for approval, by status."""
    query = (
        select(alert.c.status, func.count().label("n"))
        .where(alert.c.state == AlertState.HELD.value)
        .group_by(alert.c.status)
    )
    return {row.status: row.n for row in await connection.execute(query)}

"""Threads: the versions of one danger by one sender, and how a newer one ends an older."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    bindparam,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Alert, Reference
from alerting.domain.alert_state import ENDED, TRANSITIONS, AlertState
from alerting.domain.transitions import sources
from alerting.domain.version import Name, Version
from alerting.store.alerts.stored_alerts import StoredAlert, select_alerts
from alerting.store.schema import alert, alert_reference

_ENDED = [s.value for s in ENDED]

#: Alerts that may still mean something to a citizen, and never more than these of one sender.
_STANDING = 1000

#: More versions of one name are not looked at.
_SAME_NAME = 1000


def _named(names: Sequence[Name]) -> ColumnElement[bool]:
    return tuple_(func.lower(alert.c.identifier), func.lower(alert.c.sender)).in_(
        [(identifier, sender) for sender, identifier in names]
    )


def _class(of: Alert) -> ColumnElement[bool]:
    """Condition: of the same status and scope. Nothing else shares a thread with an alert."""
    return (alert.c.status == of.status.value) & (alert.c.scope == of.scope.value)


async def known(
    connection: AsyncConnection, new: Alert, names: Sequence[Name]
) -> list[Version[UUID]]:
    """The alerts of a new one's status and scope that have one of these names, or refer to one."""
    refers_to = tuple_(
        func.lower(alert_reference.c.identifier), func.lower(alert_reference.c.sender)
    )
    referring = select(alert_reference.c.alert_id).where(
        refers_to.in_([(identifier, sender) for sender, identifier in names])
    )
    # Not `or`, for which PostgreSQL would look through all alerts.
    either = select(alert.c.id).where(_named(names)).union(referring)
    query = (
        select(
            alert.c.id,
            alert.c.thread_id,
            alert.c.event_id,
            alert.c.sender,
            alert.c.identifier,
            alert.c.sent_at,
            alert.c.order_at,
            alert.c.expires_at,
            alert.c.end_any,
        )
        .where(_class(new), alert.c.id.in_(either))
        .order_by(alert.c.order_at.desc())
        .limit(_SAME_NAME)
    )
    rows = (await connection.execute(query)).all()
    references = await _references(connection, [row.id for row in rows])
    return [
        Version(
            row.id,
            row.thread_id,
            row.event_id,
            Reference(row.sender, row.identifier, row.sent_at),
            row.order_at,
            row.expires_at,
            tuple(references[row.id]),
            row.end_any,
        )
        for row in rows
    ]


async def _references(
    connection: AsyncConnection, alert_ids: Sequence[UUID]
) -> dict[UUID, list[Reference]]:
    found: dict[UUID, list[Reference]] = defaultdict(list)
    if alert_ids:
        query = select(alert_reference).where(alert_reference.c.alert_id.in_(alert_ids))
        for row in await connection.execute(query):
            found[row.alert_id].append(Reference(row.sender, row.identifier, row.sent_at))
    return found


async def across(
    connection: AsyncConnection, new: Alert, names: Sequence[Name]
) -> list[tuple[str, str, str, str]]:
    """(sender, identifier, status, scope) of alerts with these names but another status or
    scope."""
    if not names:
        return []
    query = (
        select(alert.c.sender, alert.c.identifier, alert.c.status, alert.c.scope)
        .where(_named(names), ~_class(new))
        .limit(_SAME_NAME)
    )
    return [(r.sender, r.identifier, r.status, r.scope) for r in await connection.execute(query)]


async def of_sender(connection: AsyncConnection, new: Alert, *, now: datetime) -> list[StoredAlert]:
    """The alerts of a new one's sender, status and scope whose danger is in force, newest first."""
    return await select_alerts(
        connection,
        func.lower(alert.c.sender) == new.sender.lower(),
        _class(new),
        alert.c.expires_at > now,
        *_stands(),
        limit=_STANDING,
    )


def _stands() -> list[ColumnElement[bool]]:
    """Condition: an end could end it."""
    return [
        alert.c.msg_type.in_(["Alert", "Update"]),
        ~alert.c.ends,
        alert.c.pruned_at.is_(None),
        alert.c.state.not_in(_ENDED),
    ]


async def newer(
    connection: AsyncConnection, thread_id: UUID, than: datetime, *, limit: int = 50
) -> list[StoredAlert]:
    """The versions of a thread after `than` that are for citizens.

    A held end that names an alert counts: the alert must not go out meanwhile. A version that
    expired before it was approved does not.
    """
    return await select_alerts(
        connection,
        alert.c.thread_id == thread_id,
        alert.c.order_at > than,
        or_(
            alert.c.state.not_in([AlertState.RECORDED, AlertState.HELD, AlertState.EXPIRED]),
            (alert.c.state == AlertState.EXPIRED) & alert.c.planned_at.is_not(None),
            (alert.c.state == AlertState.HELD) & alert.c.ends,
        ),
        limit=limit,
    )


async def live(
    connection: AsyncConnection,
    thread_id: UUID,
    *,
    before: datetime,
    but: UUID,
) -> list[StoredAlert]:
    """The versions of a thread before `before` that have not ended; held ones too."""
    return await select_alerts(
        connection,
        alert.c.thread_id == thread_id,
        alert.c.id != but,
        alert.c.order_at < before,
        alert.c.state.not_in(_ENDED),
        limit=_STANDING,
    )


async def in_force(connection: AsyncConnection, thread_ids: Collection[UUID]) -> list[StoredAlert]:
    """The versions of threads that a Cancel would end, newest first; held ones too.

    Without those whose deliveries were pruned: nobody knows any more who was notified of them.
    """
    return await select_alerts(
        connection, alert.c.thread_id.in_(thread_ids), *_stands(), limit=_STANDING
    )


async def in_event(
    connection: AsyncConnection, event_id: UUID, *, but: Collection[UUID], now: datetime
) -> list[StoredAlert]:
    """The alerts of an event that are in force, were approved, and belong to other threads."""
    return await select_alerts(
        connection,
        alert.c.event_id == event_id,
        alert.c.thread_id.not_in(but),
        alert.c.expires_at > now,
        alert.c.state != AlertState.HELD,
        *_stands(),
        limit=_STANDING,
    )


async def end(
    connection: AsyncConnection,
    alert_ids: Sequence[UUID],
    state: AlertState,
    reason: str,
    *,
    by: UUID | None = None,
) -> None:
    """Move alerts to `state`; alerts that have ended stay as they are.

    Args:
        by: The alert that ends them.
    """
    if alert_ids:
        await connection.execute(
            update(alert)
            .where(alert.c.id.in_(alert_ids), alert.c.state.in_(sources(TRANSITIONS, state)))
            .values(state=state.value, state_reason=reason, ended_by=by)
        )


async def lock(connection: AsyncConnection, names: Collection[str]) -> None:
    """Serialise transactions that name the same alerts; the locks are held until this one ends."""
    keys = sorted(
        int.from_bytes(hashlib.blake2b(n.encode(), digest_size=8).digest(), "big", signed=True)
        for n in names
    )
    # In one order for everybody, so that two never wait for each other.
    key = func.unnest(bindparam("keys", keys, ARRAY(BigInteger))).column_valued("key")
    ordered = select(key).order_by(key).subquery()
    await connection.execute(select(func.pg_advisory_xact_lock(ordered.c.key)))


async def join(connection: AsyncConnection, thread_ids: Collection[UUID], *, into: UUID) -> None:
    """Move the alerts of other threads into one thread."""
    others = [t for t in thread_ids if t != into]
    if others:
        await connection.execute(
            update(alert).where(alert.c.thread_id.in_(others)).values(thread_id=into)
        )

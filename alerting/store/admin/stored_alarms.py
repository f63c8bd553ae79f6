"""Alarms: what an operator must look at, one line for each fault."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    Uuid,
    case,
    cast,
    delete,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.errors import Conflict, NotFound
from alerting.store.schema import LIVE, alarm, alert

#: An alert waits for a second person.
HELD = "alert-held"

#: A real alert was completed, and nobody was notified of it.
REACHED_NOBODY = "reached-nobody"

#: Notifications of approvers within this time put their submitter's next alerts behind others'.
_NOTIFIED_LATELY = timedelta(days=1)

#: The kinds whose subject is an alert, and which end with it.
OF_ALERTS = (HELD, REACHED_NOBODY)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A fault that is open, or was.

    Attributes:
        count: How often it was seen.
    """

    id: int
    kind: str
    subject: str
    sentence: str
    count: int
    opened_at: datetime
    seen_at: datetime
    closed_at: datetime | None
    closed_by: str

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "subject": self.subject,
            "sentence": self.sentence,
            "count": self.count,
            "opened_at": self.opened_at.isoformat(),
            "seen_at": self.seen_at.isoformat(),
            "closed_at": self.closed_at.isoformat() if self.closed_at else None,
            "closed_by": self.closed_by,
        }


_FIELDS = [alarm.c[name] for name in Alarm.__slots__]


async def open_(connection: AsyncConnection, kind: str, subject: str, sentence: str) -> bool:
    """Open an alarm, or count one that is open already; True when it is new."""
    new = insert(alarm).values(kind=kind, subject=subject, sentence=sentence)
    query = new.on_conflict_do_update(
        index_elements=["kind", "subject"],
        index_where=text("closed_at is null"),
        set_={"count": alarm.c.count + 1, "seen_at": func.now(), "sentence": sentence},
    ).returning(alarm.c.count)
    return int((await connection.execute(query)).scalar_one()) == 1


async def is_open(connection: AsyncConnection, kind: str, subject: str) -> bool:
    """True while there is an open alarm of this kind and subject."""
    query = select(alarm.c.id).where(
        alarm.c.kind == kind, alarm.c.subject == subject, alarm.c.closed_at.is_(None)
    )
    return (await connection.execute(query)).first() is not None


async def close(connection: AsyncConnection, kind: str, subject: str, *, by: str) -> bool:
    """Close an alarm because its fault is gone; False when none was open."""
    query = (
        update(alarm)
        .where(alarm.c.kind == kind, alarm.c.subject == subject, alarm.c.closed_at.is_(None))
        .values(closed_at=func.now(), closed_by=by)
    )
    return (await connection.execute(query)).rowcount == 1


async def close_of(connection: AsyncConnection, alert_ids: Collection[UUID], *, by: str) -> None:
    """Close the open alarms of these alerts, which no longer wait for a person."""
    if alert_ids:
        await connection.execute(
            update(alarm)
            .where(
                alarm.c.kind.in_(OF_ALERTS),
                alarm.c.subject.in_([str(one) for one in alert_ids]),
                alarm.c.closed_at.is_(None),
            )
            .values(closed_at=func.now(), closed_by=by)
        )


async def close_one(connection: AsyncConnection, alarm_id: int, *, by: str) -> Alarm:
    """Close an alarm by its number, in the name of whoever dealt with it. One that is closed
    already stays as it is.

    Raises NotFound, and Conflict for the alarm of an alert that is still held.
    """
    query = select(*_FIELDS).where(alarm.c.id == alarm_id)
    row = (await connection.execute(query.with_for_update())).first()
    if row is None:
        raise NotFound(f"There is no alarm {alarm_id}.")
    if row.closed_at is not None:
        return Alarm(**row._mapping)
    if row.kind == HELD and await _is_held(connection, UUID(row.subject)):
        raise Conflict(
            f"Alert {row.subject} still waits for a second person.",
            remedy=f"Approve or cancel it: `alerting approve {row.subject}`, `alerting cancel "
            f"{row.subject}`. Its alarm closes by itself then.",
        )
    await connection.execute(
        update(alarm).where(alarm.c.id == alarm_id).values(closed_at=func.now(), closed_by=by)
    )
    return Alarm(**(await connection.execute(query)).one()._mapping)


async def _is_held(connection: AsyncConnection, alert_id: UUID) -> bool:
    query = select(alert.c.id).where(alert.c.id == alert_id, alert.c.state == AlertState.HELD)
    return (await connection.execute(query)).first() is not None


async def open_of_held(connection: AsyncConnection) -> None:
    """Open an alarm for every held alert that has none open.

    People who were notified of the alert before are not notified again. An alert that is locked is
    left for the next call.
    """
    of_alert = (alarm.c.kind == HELD) & (alarm.c.subject == cast(alert.c.id, Text))
    is_open = select(alarm.c.id).where(of_alert, alarm.c.closed_at.is_(None)).exists()
    rung_at = select(func.max(alarm.c.rung_at)).where(of_alert).scalar_subquery()
    sentence = func.concat(
        "Alert ", alert.c.identifier, " of ", alert.c.sender,
        " waits for a second person: ", alert.c.state_reason,
    )  # fmt: skip
    held = (
        select(literal(HELD), cast(alert.c.id, Text), sentence, rung_at)
        # The first is what the index of live alerts has.
        .where(text(LIVE), alert.c.state == AlertState.HELD, ~is_open)
        .with_for_update(key_share=True, skip_locked=True)
    )
    names = ["kind", "subject", "sentence", "rung_at"]
    await connection.execute(insert(alarm).from_select(names, held).on_conflict_do_nothing())


async def next_unnotified(connection: AsyncConnection) -> Alarm | None:
    """The next open alarm of a held alert that approvers must be notified of, locked for this
    transaction; None where there is none. Alarms that another transaction holds are left out.

    The higher lane comes first. Within a lane, the submitter whose alerts approvers were notified
    of least within a day comes first, so that one submitter with many held alerts does not delay
    the others.
    """
    other, others = alarm.alias(), alert.alias()
    notified = (
        select(func.count())
        .select_from(other.join(others, others.c.id == _alert_of(other)))
        .where(
            other.c.kind == HELD,
            other.c.rung_at > func.now() - _NOTIFIED_LATELY,
            _whose(others) == _whose(alert),
        )
        .scalar_subquery()
    )
    lane = case({lane.value: n for n, lane in enumerate(Lane)}, value=alert.c.lane)
    query = (
        select(*_FIELDS)
        .select_from(alarm.outerjoin(alert, alert.c.id == _alert_of(alarm)))
        .where(alarm.c.kind == HELD, alarm.c.closed_at.is_(None), alarm.c.rung_at.is_(None))
        .order_by(lane, notified, alarm.c.id)
        .limit(1)
        .with_for_update(of=alarm, skip_locked=True)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else Alarm(**row._mapping)


def _alert_of(table: FromClause) -> ColumnElement[UUID]:
    """The alert of an alarm; subjects of other kinds are no ids."""
    return case((table.c.kind == HELD, cast(table.c.subject, Uuid)))


def _whose(table: FromClause) -> ColumnElement[str]:
    """Who submitted an alert: a person by any of their keys, or a machine."""
    return func.coalesce(cast(table.c.submitted_person, Text), table.c.submitted_by)


async def mark_notified(connection: AsyncConnection, alarm_id: int) -> None:
    """Note that approvers were notified of an alarm."""
    await connection.execute(update(alarm).where(alarm.c.id == alarm_id).values(rung_at=func.now()))


async def forget_closed(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Delete up to `limit` alarms that were closed before an instant; returns how many."""
    old = select(alarm.c.id).where(alarm.c.closed_at < before).order_by(alarm.c.id).limit(limit)
    return (await connection.execute(delete(alarm).where(alarm.c.id.in_(old)))).rowcount


async def open_alarms(connection: AsyncConnection, *, limit: int = 200) -> list[Alarm]:
    """The open alarms, newest first."""
    query = (
        select(*_FIELDS)
        .where(alarm.c.closed_at.is_(None))
        .order_by(alarm.c.opened_at.desc())
        .limit(limit)
    )
    return [Alarm(**row._mapping) for row in await connection.execute(query)]


async def open_by_kind(connection: AsyncConnection) -> dict[str, int]:
    """The number of open alarms of each kind."""
    query = (
        select(alarm.c.kind, func.count().label("n"))
        .where(alarm.c.closed_at.is_(None))
        .group_by(alarm.c.kind)
    )
    return {row.kind: row.n for row in await connection.execute(query)}

"""Alerts as stored: written once, then only their progress moves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Alert, MsgType, Reference, Scope, Status
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.lane import Lane
from alerting.domain.principal import Principal
from alerting.errors import BadInput, NotFound
from alerting.store.schema import alert, alert_reference

#: At most so many alerts with one identifier are read.
_OF_ONE_NAME = 1000
#: At most so many alerts are listed where an identifier fits several.
_LISTED = 10


@dataclass(frozen=True)
class StoredAlert:
    """One alert and how far it has come.

    order_at: by which the versions of its thread are ordered. ends: all of it says that a danger is
    over. ended_by: the alert that ended or replaced it. end_any: it may end alerts of other
    senders. document: the alert as CAP in JSON. pruned_at: when its deliveries were deleted because
    they were old.
    """

    id: UUID
    sender: str
    identifier: str
    sent_at: datetime
    order_at: datetime
    status: str
    msg_type: str
    scope: str
    lane: Lane
    thread_id: UUID
    event_id: UUID
    event_reason: str
    hazards: list[str]
    ends: bool
    ended_by: UUID | None
    end_any: bool
    document: dict[str, Any]
    source_hash: bytes
    state: AlertState
    state_reason: str
    expires_at: datetime
    submitted_by: str
    submitted_person: UUID | None
    submitted_holders: list[UUID]
    approved_by: str
    approved_person: UUID | None
    submitted_at: datetime
    planned_at: datetime | None
    finished_at: datetime | None
    audience: int
    pruned_at: datetime | None
    code: str | None

    @cached_property
    def alert(self) -> Alert:
        """What it says: parsed when first asked for, unless whoever made this object had it."""
        # lxml comes with it, and whoever only lists alerts does without.
        from alerting.cap import from_json

        return from_json(self.document)

    def carrying(self, said: Alert) -> Self:
        """The same, with what its document says, which is then not parsed."""
        # As `cached_property` writes it.
        self.__dict__["alert"] = said
        return self

    def but(self, **values: Any) -> Self:
        """The same with other progress. It carries what this one has parsed."""
        other = replace(self, **values)
        return other.carrying(self.alert) if "alert" in self.__dict__ else other

    @property
    def is_drill(self) -> bool:
        """See `Alert.is_drill`."""
        return self.status != Status.ACTUAL

    @property
    def for_public(self) -> bool:
        """See `Alert.for_public`."""
        return self.status == Status.ACTUAL and self.scope == Scope.PUBLIC

    @property
    def infos(self) -> list[dict[str, Any]]:
        """Its infos as CAP in JSON."""
        return list(self.document.get("info", ()))

    @property
    def addresses(self) -> list[str]:
        """The groups or rosters it names."""
        return list(self.document.get("addresses", ()))

    @property
    def submitter(self) -> Principal:
        """Who submitted it: their identity, without what they may do."""
        return Principal(
            self.submitted_by, self.submitted_person, holders=frozenset(self.submitted_holders)
        )


_FIELDS = [alert.c[field.name] for field in fields(StoredAlert)]
_BUT_DOCUMENT = [column for column in _FIELDS if column is not alert.c.document]


def _stored(row: Row[Any], document: dict[str, Any] | None = None) -> StoredAlert:
    values = {"document": document, **row._mapping}
    values["lane"] = Lane(values["lane"])
    values["state"] = AlertState(values["state"])
    return StoredAlert(**values)


async def get(
    connection: AsyncConnection,
    alert_id: UUID,
    *,
    lock: bool = False,
    document: dict[str, Any] | None = None,
) -> StoredAlert | None:
    """One alert; with `lock` nobody else changes it before the transaction ends.

    document: the alert's own, where it is known: it never changes, and is not read again.
    """
    query = select(*(_FIELDS if document is None else _BUT_DOCUMENT)).where(alert.c.id == alert_id)
    if lock:
        query = query.with_for_update(key_share=True)
    row = (await connection.execute(query)).first()
    return None if row is None else _stored(row, document)


async def by_code(connection: AsyncConnection, code: str) -> StoredAlert | None:
    """The alert that a short link names."""
    row = (await connection.execute(select(*_FIELDS).where(alert.c.code == code))).first()
    return None if row is None else _stored(row)


async def select_alerts(
    connection: AsyncConnection, *where: ColumnElement[bool], limit: int
) -> list[StoredAlert]:
    """The newest alerts that meet the conditions, newest first."""
    query = select(*_FIELDS).where(*where).order_by(alert.c.sent_at.desc()).limit(limit)
    return [_stored(row) for row in await connection.execute(query)]


async def get_many(connection: AsyncConnection, alert_ids: Sequence[UUID]) -> list[StoredAlert]:
    """Those of these alerts that are there, the newest first."""
    if not alert_ids:
        return []
    return await select_alerts(connection, alert.c.id.in_(alert_ids), limit=len(alert_ids))


async def by_reference(connection: AsyncConnection, triple: Reference) -> StoredAlert | None:
    """The alert that CAP names by (sender, identifier, sent)."""
    query = select(*_FIELDS).where(
        alert.c.sender == triple.sender,
        alert.c.identifier == triple.identifier,
        alert.c.sent_at == triple.sent,
    )
    row = (await connection.execute(query)).first()
    return None if row is None else _stored(row)


async def finished(connection: AsyncConnection, alert_ids: Collection[UUID]) -> list[StoredAlert]:
    """Those of these alerts, without their documents, that were to tell of a real danger and have
    come to their end by themselves."""
    query = select(*_BUT_DOCUMENT).where(
        alert.c.id.in_(alert_ids),
        alert.c.status == Status.ACTUAL,
        alert.c.msg_type.in_([MsgType.ALERT, MsgType.UPDATE]),
        ~alert.c.ends,
        alert.c.finished_at.is_not(None),
        alert.c.pruned_at.is_(None),
        alert.c.state.in_([AlertState.COMPLETED, AlertState.EXPIRED]),
    )
    return [_stored(row, {}) for row in await connection.execute(query)]


async def resolve(connection: AsyncConnection, name: str) -> UUID:
    """The id a person means: our id, or the CAP identifier of the newest alert that bears it.

    Real alerts come before exercises and tests of the same name. Raises NotFound when there is
    none, BadInput with a list of them when several senders use the identifier.
    """
    return _one_sender(name, await _named(connection, name))[0].id


async def standing(connection: AsyncConnection, name: str) -> list[UUID]:
    """The alerts that a person means who ends them by a name, the newest first.

    Our id means one alert; a CAP identifier every live alert that bears it, or where none is live
    the newest. Raises NotFound, and BadInput as `resolve` does.
    """
    found = await _named(connection, name)
    live = [one for one in found if one.state not in ENDED and not one.ends]
    named = _one_sender(name, live or found[:1])
    return [one.id for one in named]


async def _named(connection: AsyncConnection, name: str) -> list[StoredAlert]:
    """The alert of this id, else those of this CAP identifier, newest first; real ones alone where
    there are any. Raises NotFound."""
    try:
        found = await get(connection, UUID(name))
    except ValueError:
        found = None
    if found is not None:
        return [found]
    named = await select_alerts(
        connection,
        # By the index over names of any case.
        func.lower(alert.c.identifier) == func.lower(name),
        alert.c.identifier == name,
        limit=_OF_ONE_NAME,
    )
    if not named:
        raise NotFound(
            f"There is no alert {name}.", remedy="`alerting list` (GET /v1/alerts) shows them."
        )
    return [one for one in named if one.status == Status.ACTUAL] or named


def _one_sender(name: str, found: Sequence[StoredAlert]) -> Sequence[StoredAlert]:
    if len({one.sender.lower() for one in found}) > 1:
        listed = "; ".join(
            f"{one.id} of {one.sender}, sent {one.sent_at:%Y-%m-%d %H:%M} UTC, {one.state}"
            for one in found[:_LISTED]
        )
        raise BadInput(
            f"Several senders use the identifier {name}: {listed}.",
            remedy="Give the id of the alert that is meant.",
        )
    return found


async def add(connection: AsyncConnection, said: Alert, **values: Any) -> StoredAlert:
    """Write a new alert that says this, and what it refers to; returns it as it is stored."""
    query = insert(alert).values(**values).returning(*_BUT_DOCUMENT)
    row = (await connection.execute(query)).one()
    if said.references:
        rows = [
            {
                "alert_id": values["id"],
                "sender": r.sender,
                "identifier": r.identifier,
                "sent_at": r.sent,
            }
            for r in dict.fromkeys(said.references)
        ]
        await connection.execute(insert(alert_reference), rows)
    return _stored(row, values["document"]).carrying(said)

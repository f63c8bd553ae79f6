"""Alerts as stored. An alert is written once; later only its progress changes
(`alert_progress`)."""

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

#: How many alerts with one identifier are read at most.
_OF_ONE_NAME = 1000
#: How many alerts are listed where an identifier names several.
_LISTED = 10


@dataclass(frozen=True)
class StoredAlert:
    """One alert and how far it has come.

    Attributes:
        order_at: By which the versions of its thread are ordered.
        ends: All of it says that a danger is over.
        ended_by: The alert that ended or replaced it.
        end_any: It may end alerts of other senders.
        document: The alert as CAP in JSON.
        pruned_at: When its deliveries were deleted because they were old.
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
        """The parsed document: parsed on first use, unless whoever made this object had it
        parsed."""
        # It imports lxml, which processes that only list alerts do not need.
        from alerting.cap import from_json

        return from_json(self.document)

    def carrying(self, said: Alert) -> Self:
        """The same object with its parsed document, which is then not parsed again."""
        # As `cached_property` writes it.
        self.__dict__["alert"] = said
        return self

    def but(self, **values: Any) -> Self:
        """A copy with other progress. A parsed document is carried over."""
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
        """The identity of whoever submitted it, without rights."""
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
    """One alert; with `lock` no other transaction changes it before this one ends.

    Args:
        document: The alert's document where the caller has it. It never changes, so it is not read
            again.
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
    """The alerts with these ids, newest first."""
    if not alert_ids:
        return []
    return await select_alerts(connection, alert.c.id.in_(alert_ids), limit=len(alert_ids))


async def by_reference(connection: AsyncConnection, triple: Reference) -> StoredAlert | None:
    """The alert that a CAP reference (sender, identifier, sent) names."""
    query = select(*_FIELDS).where(
        alert.c.sender == triple.sender,
        alert.c.identifier == triple.identifier,
        alert.c.sent_at == triple.sent,
    )
    row = (await connection.execute(query)).first()
    return None if row is None else _stored(row)


async def finished(connection: AsyncConnection, alert_ids: Collection[UUID]) -> list[StoredAlert]:
    """Those of these alerts, without their documents, that announced a real danger and were
    completed or expired."""
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
    """The id of the alert that a name means: our id, or the CAP identifier of the newest alert that
    has it.

    Real alerts come before exercises and tests of the same name. Raises NotFound when there is
    none, BadInput with a list of them when several senders use the identifier.
    """
    return _one_sender(name, await _named(connection, name))[0].id


async def live_of_name(connection: AsyncConnection, name: str) -> list[UUID]:
    """The alerts to end when a person gives a name, newest first.

    An id of ours names one alert; a CAP identifier every live alert that has it, or the newest
    where none is live. Raises NotFound, and BadInput as `resolve` does.
    """
    found = await _named(connection, name)
    live = [one for one in found if one.state not in ENDED and not one.ends]
    named = _one_sender(name, live or found[:1])
    return [one.id for one in named]


async def _named(connection: AsyncConnection, name: str) -> list[StoredAlert]:
    """The alert with this id, else those with this CAP identifier, newest first; only real ones
    where there are any. Raises NotFound."""
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
    """Write a new alert that says this, and what it refers to; returns it as it is stored.

    values: by column what it does not say itself.
    """
    says = {
        "sender": said.sender,
        "sent_at": said.sent,
        "status": said.status.value,
        "msg_type": said.msg_type.value,
        "scope": said.scope.value,
        "ends": said.ends,
    }
    query = insert(alert).values(**says, **values).returning(*_BUT_DOCUMENT)
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

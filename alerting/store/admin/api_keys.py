"""API keys: 256 random bits, shown once, kept as SHA-256, found by a prefix that is no secret."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Status
from alerting.domain.principal import Principal
from alerting.errors import BadInput, Conflict, NotAllowed, NotFound, Unavailable
from alerting.store import audit_log
from alerting.store.admin import stored_people
from alerting.store.admin.stored_people import Person
from alerting.store.schema import alert, api_key, policy
from alerting.store.work.restored import IS_HOME

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

#: The rights of a key that is made without any.
USUAL_RIGHTS = ("submit", "read")

#: Rights that no machine has: what a machine submits, a person approves.
_PERSONS_ONLY = frozenset({"approve", "people"})

#: The storm brake looks back no further (`storm.history_s`).
_REMEMBERED = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: everything but the secret.

    Attributes:
        principal: Who acts by it, with what both the key and its person may.
        person: Whose it is, None for a machine's.
        unassigned: It is from before keys belonged to anybody.
    """

    prefix: str
    name: str
    principal: Principal
    person: str | None
    unassigned: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def create(
    connection: AsyncConnection,
    name: str,
    rights: Collection[str],
    *,
    by: Principal,
    owner: Person | None = None,
    senders: Sequence[str] = (),
    statuses: Iterable[Status] = (),
    area: BaseGeometry | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Make a key and return it whole, for the only time.

    Senders and statuses that are not given are those of its owner; a machine's key has all
    statuses. Raises Forbidden, BadInput for rights that its owner does not have, Conflict when the
    name is taken.

    Args:
        owner: Whose it is; None for a machine's key.
    """
    by.require("people")
    known = owner.principal if owner is not None else None
    if known is None and (never := _PERSONS_ONLY.intersection(rights)):
        raise BadInput(
            f"A machine does not have the right {min(never)!r}.",
            remedy="Name a person: --person NAME.",
        )
    values = stored_people.checked(
        name,
        rights,
        senders or (known.senders if known else ()),
        tuple(statuses) or (known.statuses if known else tuple(Status)),
        area,
    )
    if known is not None:
        _within(name, values, area, known)
    await _require_to_come(connection, expires_at)
    taken = await connection.scalar(select(api_key.c.prefix).where(api_key.c.name == name))
    if taken is not None:
        raise Conflict(
            f"A key named {name!r} exists.",
            remedy="`alerting keys rotate` makes a live one anew. Else choose another name; that "
            "of a revoked key stays taken, for the audit.",
        )
    key, drawn = _draw()
    person_id = known.person_id if known else None
    values |= drawn
    values |= {
        "person_id": person_id,
        # Its maker has seen it, and so has everybody who has seen the key that made it.
        "holders": sorted(by.persons - {person_id}),
        "unassigned": False,
        "expires_at": expires_at,
    }
    await connection.execute(insert(api_key).values(values))
    detail = {n: values[n] for n in ("rights", "senders", "statuses")}
    if owner is not None:
        detail["person"] = owner.name
    await audit_log.record(connection, by.actor, "key.create", name, detail)
    return key


async def verify(connection: AsyncConnection, key: str) -> ApiKey:
    """The key's record.

    Raises NotAllowed for one that is malformed, unknown, wrong, revoked or expired, and for a key
    of a person who has ended.
    """
    kind, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    row = None
    if kind == "ak" and prefix.isalnum() and secret:
        expired = (api_key.c.expires_at <= func.now()).label("expired")
        query = select(api_key, expired, IS_HOME.label("is_home")).where(api_key.c.prefix == prefix)
        row = (await connection.execute(query)).first()
    # The digest is compared even for an unknown prefix, so that both take the same time.
    stored = bytes(row.sha256) if row is not None else bytes(32)
    if not hmac.compare_digest(stored, _digest(secret)) or row is None or row.revoked_at:
        raise NotAllowed(
            "The API key is not valid.", remedy="Send Authorization: Bearer ak_… of a live key."
        )
    if not row.is_home:
        raise Unavailable(
            "This database was restored from a backup, and nobody knows which keys were revoked "
            "since.",
            remedy="`alerting reconcile` makes it fit for use again (docs/runbooks/backup.md).",
        )
    if row.expired:
        raise NotAllowed(
            "The API key has expired.", remedy="Have another made: `alerting keys create`."
        )
    owner = await stored_people.get(connection, row.person_id) if row.person_id else None
    if owner is not None and owner.ended_at is not None:
        raise NotAllowed(f"{owner.name} may no longer act here.")
    return _key(row, owner)


async def every(connection: AsyncConnection) -> list[ApiKey]:
    """All keys, oldest first."""
    owners = {p.id: p for p in await stored_people.every(connection)}
    rows = await connection.execute(select(api_key).order_by(api_key.c.created_at))
    return [_key(row, owners.get(row.person_id)) for row in rows]


async def assign(
    connection: AsyncConnection, name: str, *, owner: Person | None, by: Principal
) -> ApiKey:
    """Set the owner of a key that has none: a person, or a machine where nobody is named.

    From then on it may do no more than its owner, and a machine's key no longer approves. What was
    done by it before counts as done by the owner. Raises Forbidden, NotFound, Conflict for a key
    that has an owner.
    """
    by.require("people")
    query = select(api_key).where(api_key.c.name == name, api_key.c.revoked_at.is_(None))
    row = (await connection.execute(query.with_for_update())).first()
    if row is None:
        raise NotFound(f"There is no live key named {name!r}.")
    if not row.unassigned:
        raise Conflict(f"The key {name!r} has an owner.", remedy="Revoke it and make another.")
    values: dict[str, Any] = {"unassigned": False}
    if owner is None:
        values["rights"] = [r for r in row.rights if r not in _PERSONS_ONLY]
        if not values["rights"]:
            raise Conflict(
                f"The key {name!r} could then do nothing.", remedy="Revoke it, or name a person."
            )
    else:
        values["person_id"] = owner.id
        await _done_before(connection, f"key:{name}", owner.id)
    changed = update(api_key).where(api_key.c.prefix == row.prefix).values(values)
    row = (await connection.execute(changed.returning(api_key))).one()
    detail = {"person": owner.name if owner is not None else None}
    await audit_log.record(connection, by.actor, "key.assign", name, detail)
    return _key(row, owner)


async def rotate(
    connection: AsyncConnection, name: str, *, by: Principal, expires_at: datetime | None = None
) -> str:
    """Replace the secret of a live key and return the new key whole, for the only time; the old one
    ends at once.

    Everything else about it stays. Who had seen the old one still counts as having seen it. Raises
    Forbidden, BadInput, NotFound when no live key has that name.

    Args:
        expires_at: Its new end; None to keep the old one.
    """
    by.require("people")
    await _require_to_come(connection, expires_at)
    live = api_key.c.name == name, api_key.c.revoked_at.is_(None)
    row = (await connection.execute(select(api_key).where(*live).with_for_update())).first()
    if row is None:
        raise NotFound(f"There is no live key named {name!r}.")
    key, values = _draw()
    values["holders"] = sorted((by.persons | set(row.holders)) - {row.person_id})
    if expires_at is not None:
        values["expires_at"] = expires_at
    await connection.execute(update(api_key).where(*live).values(values))
    await audit_log.record(connection, by.actor, "key.rotate", name)
    return key


async def revoke(connection: AsyncConnection, name: str, *, by: Principal) -> None:
    """End a key at once. Raises Forbidden, NotFound when no live key has that name."""
    by.require("people")
    query = (
        update(api_key)
        .where(api_key.c.name == name, api_key.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    if (await connection.execute(query)).rowcount != 1:
        raise NotFound(f"There is no live key named {name!r}.")
    await audit_log.record(connection, by.actor, "key.revoke", name)


async def end_all(connection: AsyncConnection, *, actor: str) -> list[str]:
    """Revoke every live key, after a restore: some had been revoked since the backup. Returns
    their names."""
    query = (
        update(api_key)
        .where(api_key.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(api_key.c.name)
    )
    names = sorted(await connection.scalars(query))
    for name in names:
        await audit_log.record(
            connection, actor, "key.revoke", name, {"why": "restored from a backup"}
        )
    return names


def _within(name: str, values: dict[str, Any], area: BaseGeometry | None, owner: Principal) -> None:
    """Raises BadInput where a key would have rights that its owner does not have."""
    asked = Principal(
        owner.actor,
        rights=frozenset(values["rights"]),
        senders=tuple(values["senders"]),
        statuses=frozenset(map(Status, values["statuses"])),
        area=owner.area if area is None else area,
    )
    if more := asked.exceeds(owner):
        raise BadInput(
            f"The key {name!r} would have more than {owner.actor} has: {more}.",
            remedy="A key has at most what its person has (`alerting people list`).",
        )


async def _done_before(connection: AsyncConnection, actor: str, person_id: UUID) -> None:
    """Ascribe what a key did to its owner, so that they do not approve what they submitted by
    it."""
    recent = func.now() - _REMEMBERED
    await connection.execute(
        update(alert)
        .where(
            alert.c.submitted_by == actor,
            alert.c.submitted_person.is_(None),
            alert.c.submitted_at > recent,
        )
        .values(submitted_person=person_id)
    )
    await connection.execute(
        update(policy).where(policy.c.changed_by == actor).values(changed_person=person_id)
    )


async def _require_to_come(connection: AsyncConnection, expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= await _now(connection):
        raise BadInput("The key would have expired already.", remedy="Give a later time.")


def _draw() -> tuple[str, dict[str, Any]]:
    """A new key, and the columns to store of it."""
    prefix, secret = secrets.token_hex(5), secrets.token_hex(32)
    return f"ak_{prefix}_{secret}", {"prefix": prefix, "sha256": _digest(secret)}


async def _now(connection: AsyncConnection) -> datetime:
    return (await connection.execute(select(func.now()))).scalar_one()


def _key(row: Row[Any], owner: Person | None) -> ApiKey:
    if owner is None:
        principal = stored_people.principal_of(row, f"key:{row.name}", None, row.holders)
    else:
        actor = f"{owner.principal.actor} key:{row.name}"
        principal = stored_people.principal_of(row, actor, owner.id, row.holders)
        principal = principal.limited_to(owner.principal)
    return ApiKey(
        row.prefix,
        row.name,
        principal,
        owner.name if owner is not None else None,
        row.unassigned,
        row.created_at,
        row.expires_at,
        row.revoked_at,
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

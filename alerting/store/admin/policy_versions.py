"""Policies as stored: every text ever set, with who set it, when and why. Nothing is overwritten.

At most one version is live and at most one runs in shadow beside it. Texts are not parsed here;
callers validate them first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.principal import Principal
from alerting.errors import NotFound
from alerting.store import audit_log
from alerting.store.schema import policy, policy_shadow

Role = Literal["live", "shadow"]


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One version. `state` is live, shadow or past."""

    version: int
    name: str
    toml: str
    sha256: bytes
    state: str
    changed_by: str
    changed_person: UUID | None
    changed_holders: list[UUID]
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ShadowRow:
    """A pair of answers by two policies, and how many deliveries (`count`) of how many alerts
    had it."""

    live_verdict: str
    live_reason: str
    shadow_verdict: str
    shadow_reason: str
    count: int
    alerts: int

    @property
    def same(self) -> bool:
        return self.live_verdict == self.shadow_verdict


_FIELDS = [policy.c[name] for name in StoredPolicy.__slots__]


def _stored(row: Row[Any] | None) -> StoredPolicy | None:
    return None if row is None else StoredPolicy(**row._mapping)


async def current(connection: AsyncConnection, role: Role) -> StoredPolicy | None:
    """The version that is live, or runs in shadow; None where there is none."""
    query = select(*_FIELDS).where(policy.c.state == role)
    return _stored((await connection.execute(query)).first())


async def get(connection: AsyncConnection, version: int) -> StoredPolicy:
    """One version. Raises NotFound."""
    query = select(*_FIELDS).where(policy.c.version == version)
    # Beyond what a version can be PostgreSQL would fail instead of finding nothing.
    row = (await connection.execute(query)).first() if 0 < version < 2**31 else None
    if (found := _stored(row)) is None:
        raise NotFound(f"There is no policy version {version}.")
    return found


async def history(connection: AsyncConnection, *, limit: int = 100) -> list[StoredPolicy]:
    """The versions, newest first."""
    query = select(*_FIELDS).order_by(policy.c.version.desc()).limit(limit)
    return [StoredPolicy(**row._mapping) for row in await connection.execute(query)]


async def newest_of_others(
    connection: AsyncConnection, principal: Principal
) -> StoredPolicy | None:
    """The newest version that was once live and certainly set by somebody other than this
    principal (see `Principal.may_be`); None where there is none."""
    c = policy.c
    mine = [c.changed_by == principal.actor]
    if principal.persons:
        mine.append(c.changed_person.in_(principal.persons))
    if principal.person_id is not None:
        mine.append(c.changed_holders.bool_op("@>")([principal.person_id]))
    elif principal.holders:
        shared = c.changed_holders.bool_op("&&")(list(principal.holders))
        mine.append(c.changed_person.is_(None) & shared)
    query = (
        select(*_FIELDS)
        .where(c.trial.is_(False), ~func.coalesce(or_(*mine), False))
        .order_by(c.version.desc())
        .limit(1)
    )
    return _stored((await connection.execute(query)).first())


async def put(
    connection: AsyncConnection,
    toml: str,
    *,
    role: Role,
    name: str,
    by: Principal,
    note: str = "",
    action: str | None = None,
) -> StoredPolicy:
    """Make a text the live or the shadow policy; the one before becomes past.

    A text that already has that role is left as it is and returned.

    Args:
        action: The action in the audit; empty for `policy.set` or `policy.shadow`.
    """
    await _lock_writers(connection)
    sha256 = hashlib.sha256(toml.encode()).digest()
    before = await current(connection, role)
    if before is not None and before.sha256 == sha256:
        return before
    await _retire(connection, role)
    values = {
        "name": name,
        "toml": toml,
        "sha256": sha256,
        "state": role,
        "changed_by": by.actor,
        "changed_person": by.person_id,
        "changed_holders": sorted(by.holders),
        "trial": role == "shadow",
        "note": note,
    }
    row = (await connection.execute(insert(policy).values(values).returning(*_FIELDS))).one()
    detail = {"version": row.version, "before": before.version if before else 0}
    default = {"live": "policy.set", "shadow": "policy.shadow"}[role]
    await audit_log.record(connection, by.actor, action or default, name, detail)
    return StoredPolicy(**row._mapping)


async def clear(connection: AsyncConnection, role: Role, *, by: Principal, action: str) -> bool:
    """Leave a role without a policy; False where it had none."""
    await _lock_writers(connection)
    before = await current(connection, role)
    if before is None:
        return False
    await _retire(connection, role)
    await audit_log.record(connection, by.actor, action, before.name, {"before": before.version})
    return True


async def add_shadow_counts(
    connection: AsyncConnection,
    version: int,
    alert_id: UUID,
    counts: Mapping[tuple[str, str, str, str], int],
) -> None:
    """Add to the counts of how two policies answered for an alert.

    Args:
        counts: Deliveries by (live verdict, live reason, shadow verdict, shadow reason).
    """
    if not counts:
        return
    names = ("live_verdict", "live_reason", "shadow_verdict", "shadow_reason")
    # In the same order in all workers, so that no two wait for each other.
    rows = [
        {"version": version, "alert_id": alert_id, "count": n, **dict(zip(names, key, strict=True))}
        for key, n in sorted(counts.items())
    ]
    new = upsert(policy_shadow).values(rows)
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=[policy_shadow.c.version, policy_shadow.c.alert_id]
            + [policy_shadow.c[name] for name in names],
            set_={"count": policy_shadow.c.count + new.excluded["count"]},
        )
    )


async def shadow_report(connection: AsyncConnection, version: int) -> list[ShadowRow]:
    """How often a version in shadow answered differently from the live one, most often first."""
    p = policy_shadow.c
    names = (p.live_verdict, p.live_reason, p.shadow_verdict, p.shadow_reason)
    total = func.sum(p.count).label("total")
    query = (
        select(*names, total, func.count(p.alert_id.distinct()).label("alerts"))
        .where(p.version == version)
        .group_by(*names)
        .order_by(total.desc(), *names)
    )
    return [
        ShadowRow(
            row.live_verdict,
            row.live_reason,
            row.shadow_verdict,
            row.shadow_reason,
            int(row.total),
            row.alerts,
        )
        for row in await connection.execute(query)
    ]


async def last_shadow(connection: AsyncConnection) -> StoredPolicy | None:
    """The version in shadow, else the last one that was in shadow during an alert."""
    met = select(policy_shadow.c.version).where(policy_shadow.c.version == policy.c.version)
    query = (
        select(*_FIELDS)
        .where((policy.c.state == "shadow") | met.exists())
        .order_by((policy.c.state == "shadow").desc(), policy.c.version.desc())
        .limit(1)
    )
    return _stored((await connection.execute(query)).first())


async def _retire(connection: AsyncConnection, role: Role) -> None:
    await connection.execute(update(policy).where(policy.c.state == role).values(state="past"))


async def _lock_writers(connection: AsyncConnection) -> None:
    """Serialise changes; readers never wait."""
    await connection.execute(text("lock table policy in share row exclusive mode"))

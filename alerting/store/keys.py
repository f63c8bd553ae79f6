"""API keys: 256 random bits, shown once, kept as SHA-256, found by a prefix that is no secret."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.errors import BadInput, Conflict, NotAllowed, NotFound
from alerting.store import audit
from alerting.store.schema import api_key

#: approve: let held alerts go, and say which alerts are one event.
RIGHTS = ("submit", "read", "approve", "silence", "policy")

#: What a key has whose maker names no right.
USUAL_RIGHTS = ("submit", "read")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: everything but the secret."""

    prefix: str
    name: str
    rights: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


async def create(
    connection: AsyncConnection, name: str, rights: Sequence[str], *, actor: str
) -> str:
    """Make a key and return it whole, for the only time.

    Raises BadInput for an unknown right, Conflict when the name is taken.
    """
    unknown = [r for r in rights if r not in RIGHTS]
    if unknown or not rights:
        raise BadInput(
            f"There is no right {unknown[0]!r}." if unknown else "A key needs a right.",
            remedy=f"Use {', '.join(RIGHTS)}.",
        )
    taken = await connection.scalar(select(api_key.c.prefix).where(api_key.c.name == name))
    if taken is not None:
        raise Conflict(f"A key named {name!r} exists.", remedy="Revoke it or choose another name.")
    prefix, secret = secrets.token_hex(5), secrets.token_hex(32)
    await connection.execute(
        insert(api_key).values(
            prefix=prefix, name=name, sha256=_digest(secret), rights=list(rights)
        )
    )
    await audit.record(connection, actor, "key.create", name, {"rights": list(rights)})
    return f"ak_{prefix}_{secret}"


async def verify(connection: AsyncConnection, key: str) -> ApiKey:
    """The key's record. Raises NotAllowed for one that is malformed, unknown, wrong or revoked."""
    kind, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    row = None
    if kind == "ak" and prefix and secret:
        row = (await connection.execute(select(api_key).where(api_key.c.prefix == prefix))).first()
    # The digest is compared even for an unknown prefix, so that both take the same time.
    stored = bytes(row.sha256) if row is not None else bytes(32)
    if not hmac.compare_digest(stored, _digest(secret)) or row is None or row.revoked_at:
        raise NotAllowed(
            "The API key is not valid.", remedy="Send Authorization: Bearer ak_… of a live key."
        )
    return ApiKey(row.prefix, row.name, tuple(row.rights), row.created_at, row.revoked_at)


async def every(connection: AsyncConnection) -> list[ApiKey]:
    """All keys, oldest first."""
    rows = await connection.execute(select(api_key).order_by(api_key.c.created_at))
    return [ApiKey(r.prefix, r.name, tuple(r.rights), r.created_at, r.revoked_at) for r in rows]


async def revoke(connection: AsyncConnection, name: str, *, actor: str) -> None:
    """End a key at once. Raises NotFound when no live key has that name."""
    query = (
        update(api_key)
        .where(api_key.c.name == name, api_key.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    if (await connection.execute(query)).rowcount != 1:
        raise NotFound(f"There is no live key named {name!r}.")
    await audit.record(connection, actor, "key.revoke", name)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

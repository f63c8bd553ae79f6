"""Secrets that this system makes for itself and shares between its processes."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.schema import secret

#: The secret that return addresses of mails are made with.
BOUNCE_KEY = "bounce"


async def find(connection: AsyncConnection, name: str) -> bytes | None:
    """The secret's value; None before it was made."""
    value = await connection.scalar(select(secret.c.value).where(secret.c.name == name))
    return None if value is None else bytes(value)


async def get_or_create(connection: AsyncConnection, name: str, make: Callable[[], bytes]) -> bytes:
    """The secret's value. The first call for a name stores what `make` returns, for all
    processes."""
    query = select(secret.c.value).where(secret.c.name == name)
    value = await connection.scalar(query)
    if value is None:
        await connection.execute(
            insert(secret).values(name=name, value=make()).on_conflict_do_nothing()
        )
        # Another process may have been first: the value in the table counts.
        value = await connection.scalar(query)
    if value is None:
        raise RuntimeError(f"the secret {name!r} was neither found nor stored")
    return bytes(value)

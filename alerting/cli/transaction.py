"""Database access for commands, with the acting person."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.addresses import database_url
from alerting.domain.principal import Principal
from alerting.errors import NotAllowed
from alerting.settings import settings
from alerting.store.admin import api_keys, stored_people
from alerting.store.db import Database

T = TypeVar("T")

#: Read only from the environment: a token in a `.env` file would make everybody in that folder one
#: person.
TOKEN = "ALERTING_TOKEN"  # noqa: S105 - a name


async def acting(connection: AsyncConnection) -> Principal:
    """The principal who runs the command: by the API key in ALERTING_TOKEN, else the person of this
    account.

    The account is the process's uid, never a name from the environment.

    Raises:
        NotAllowed: When neither identifies anybody.
    """
    found = await _known(connection)
    if found is None:
        raise NotAllowed(
            f"This account's uid {os.getuid()} belongs to no known person, and {TOKEN} is not set.",
            remedy=f"`alerting people add NAME --uid {os.getuid()}` assigns the account, or "
            f"set {TOKEN} to an API key of yours.",
        )
    return found


async def actor(connection: AsyncConnection) -> str:
    """The actor for the audit of operators' work, which needs no person: else `uid:NUMBER`."""
    found = await _known(connection)
    return found.actor if found is not None else f"uid:{os.getuid()}"


def do(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run `work` in one transaction of its own."""

    async def run() -> T:
        db = Database(database_url(settings()))
        try:
            async with db.begin() as connection:
                return await work(connection)
        finally:
            await db.close()

    return asyncio.run(run())


def as_operator(work: Callable[[AsyncConnection, str], Awaitable[T]]) -> T:
    """Run `work` in one transaction, with the actor for the audit."""

    async def run(connection: AsyncConnection) -> T:
        return await work(connection, await actor(connection))

    return do(run)


def do_as(right: str, work: Callable[[AsyncConnection, Principal], Awaitable[T]]) -> T:
    """Run `work` in one transaction, as the acting principal.

    Raises:
        NotAllowed: When nobody is identified.
        Forbidden: Without `right`.
    """

    async def run(connection: AsyncConnection) -> T:
        principal = await acting(connection)
        principal.require(right)
        return await work(connection, principal)

    return do(run)


async def _known(connection: AsyncConnection) -> Principal | None:
    token = os.environ.get(TOKEN, "").strip()
    if token:
        try:
            return (await api_keys.verify(connection, token)).principal
        except NotAllowed as e:
            raise NotAllowed(
                f"{TOKEN}: {e.detail}", remedy=f"Set it to a live key, or unset {TOKEN}."
            ) from e
    found = await stored_people.by_uid(connection, os.getuid())
    return found.principal if found is not None else None

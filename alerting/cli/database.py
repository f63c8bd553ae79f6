"""What a command needs to do one thing in the database."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.bootstrap import database_url
from alerting.settings import settings
from alerting.store.db import Database

T = TypeVar("T")


def actor() -> str:
    """Who types, as the audit names them."""
    return f"cli:{getpass.getuser()}"


def do(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do `work` in one transaction of its own."""

    async def run() -> T:
        db = Database(database_url(settings()))
        try:
            async with db.begin() as connection:
                return await work(connection)
        finally:
            await db.close()

    return asyncio.run(run())

"""Presence: other workers can see at once that one has died, without waiting for its leases.

A living worker holds an advisory lock on a connection of its own. PostgreSQL lets go of it the
moment the connection ends, which a kill -9 does. A worker that is only stopped keeps its lock;
its work is taken over when the lease runs out.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from sqlalchemy import Boolean, case, func, literal_column
from sqlalchemy.sql.elements import ColumnElement

from alerting.background import during
from alerting.observe.logs import logger
from alerting.store.db import WatchedConnection, driver_url
from alerting.store.schema import outbox

log = logger(__name__)

#: The first half of the lock; the second names the worker.
CLASS = 0x6C697665

_CHECK_S = 1.0
_AGAIN_S = 0.2

#: So long after PostgreSQL has started every living worker is back at its lock.
GRACE_S = 3.0

_ABSENT = f"""
    pg_postmaster_start_time() < clock_timestamp() - interval '{GRACE_S} seconds'
    and split_part(outbox.owner, '#', 2)::int8 not in (
      select objid::int8 from pg_locks
      where locktype = 'advisory' and classid = {CLASS} and objsubid = 2 and granted
        and database = (select oid from pg_database where datname = current_database()))"""  # noqa: S608


class _Watched(WatchedConnection):
    silent_s = 5.0


class Presence:
    """One worker's sign of life. `owner` is the name it claims work by."""

    def __init__(self, database_url: str) -> None:
        self._url = driver_url(database_url).replace("+psycopg", "", 1)
        self._key = secrets.randbelow(2**31)
        self._there = asyncio.Event()
        self.owner = f"{socket.gethostname()}:{os.getpid()}#{self._key}"

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Hold the lock while the block lasts, and take it again when PostgreSQL was away."""
        async with during(self._keep()):
            await self._there.wait()
            yield

    async def _keep(self) -> None:
        while True:
            try:
                async with await _Watched.connect(
                    self._url, autocommit=True, connect_timeout=5
                ) as connection:
                    await connection.execute("select pg_advisory_lock(%s, %s)", (CLASS, self._key))
                    self._there.set()
                    while True:
                        await asyncio.sleep(_CHECK_S)
                        await connection.execute("select 1")
            except psycopg.Error as e:
                log.warning("presence.lost", error=type(e).__name__)
                await asyncio.sleep(_AGAIN_S)


def owner_is_gone() -> ColumnElement[bool]:
    """True for a leased row whose owner showed presence and shows it no longer."""
    shows = func.strpos(outbox.c.owner, "#") > 0
    # CASE, because an owner without a number must not be cast to one.
    return case((shows, literal_column(f"({_ABSENT})", Boolean)), else_=False)

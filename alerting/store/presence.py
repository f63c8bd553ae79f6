"""Presence: other workers can see at once that one has died, without waiting for its leases.

A living worker holds an advisory lock on a connection of its own. PostgreSQL lets go of it the
moment the connection ends, which a kill -9 does. A worker that has only lost this connection takes
the lock again at once, so whoever looks for the dead looks several times. A worker that is only
stopped keeps its lock; its work is taken over when the lease runs out.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from alerting.background import during
from alerting.observe.logs import logger
from alerting.store.db import Database, WatchedConnection, driver_url

log = logger(__name__)

#: The first half of the lock; the second names the worker.
CLASS = 0x6C697665

_CHECK_S = 1.0
_AGAIN_S = 0.2

_ABSENT = """
    select distinct owner from outbox
    where state = 'leased' and strpos(owner, '#') > 0
      and case when strpos(owner, '#') > 0 then split_part(owner, '#', 2)::int8 end not in (
        select objid::int8 from pg_locks
        where locktype = 'advisory' and classid = %s and objsubid = 2 and granted
          and database = (select oid from pg_database where datname = current_database()))"""


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
            held = False
            try:
                async with await _Watched.connect(
                    self._url, autocommit=True, connect_timeout=5
                ) as connection:
                    await connection.execute("select pg_advisory_lock(%s, %s)", (CLASS, self._key))
                    held = True
                    self._there.set()
                    while True:
                        # Waits at the socket, so that its end is known at once.
                        async for _ in connection.notifies(timeout=_CHECK_S):
                            pass
                        await connection.execute("select 1")
            except psycopg.Error as e:
                log.warning("presence.lost", error=type(e).__name__)
                if not held:
                    await asyncio.sleep(_AGAIN_S)


async def absent(db: Database) -> set[str]:
    """The owners of leased work that showed presence and show it no longer.

    One of them may be alive and about to show it again: its connection alone was cut, or PostgreSQL
    has just started.
    """
    async with db.one_flight() as driver:
        rows = await driver.execute(_ABSENT, (CLASS,))
    return {owner for (owner,) in await rows.fetchall()}

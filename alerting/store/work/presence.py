"""Presence: other workers see at once that one has died, without waiting for its leases.

A living worker holds an advisory lock on a connection of its own. PostgreSQL releases it the moment
the connection ends, also by kill -9. A worker that has only lost this connection takes the lock
again at once, so a worker counts as dead only after several looks. A worker that is stopped keeps
its lock; its work is taken over when the lease expires.

Every process also shares a lock for each of its duties, by which `alerting doctor` sees whether
each lane has a worker, and a container whether its own is there.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.background import background_task
from alerting.domain.lane import Lane
from alerting.observe.logs import logger
from alerting.store.db import Database, WatchedConnection, driver_url, raw
from alerting.store.states import W

log = logger(__name__)

#: The first half of the lock; the second names the worker.
CLASS = 0x6C697665

#: The first half of the locks for duties; the second is the place in DUTIES.
_DUTY_CLASS = 0x64757479

#: The name of these connections in PostgreSQL, before the host.
_NAME = "alerting on "

SCHEDULER = "scheduler"
DUTIES = (SCHEDULER, *(lane.value for lane in Lane))

_CHECK_S = 1.0
_AGAIN_S = 0.2

_ABSENT = f"""
    select distinct owner from outbox
    where state = '{W.LEASED}' and strpos(owner, '#') > 0
      and case when strpos(owner, '#') > 0 then split_part(owner, '#', 2)::int8 end not in (
        select objid::int8 from pg_locks
        where locktype = 'advisory' and classid = %s and objsubid = 2 and granted
          and database = (select oid from pg_database where datname = current_database()))"""  # noqa: S608


_ON_DUTY = """
    select l.objid::int4, coalesce(a.application_name, ''), count(*)
    from pg_locks l left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.classid = %s and l.objsubid = 2 and l.granted
      and l.database = (select oid from pg_database where datname = current_database())
    group by 1, 2 order by 1, 2"""


@dataclass(frozen=True, slots=True)
class OnDuty:
    """The number of processes on one host that do this: a lane's name, or SCHEDULER."""

    duty: str
    host: str
    count: int


class _Watched(WatchedConnection):
    silent_s = 5.0


class Presence:
    """One process's sign of life. `owner` is the name it claims work by.

    Args:
        duties: Which of DUTIES it does. A scheduler claims no work and does not count as a worker.
    """

    def __init__(self, database_url: str, duties: Collection[str] = ()) -> None:
        self._duties = sorted(DUTIES.index(duty) for duty in duties)
        self._url = driver_url(database_url).replace("+psycopg", "", 1)
        self._claims = SCHEDULER not in duties
        self._key = secrets.randbelow(2**31)
        self._there = asyncio.Event()
        self.owner = f"{socket.gethostname()}:{os.getpid()}#{self._key}"

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Hold the lock while the block lasts, and take it again when PostgreSQL was away."""
        async with background_task(self._keep()):
            await self._there.wait()
            yield

    async def _keep(self) -> None:
        while True:
            held = False
            try:
                async with await _Watched.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=5,
                    application_name=f"{_NAME}{this_host()}",
                ) as connection:
                    if self._claims:
                        await connection.execute(
                            "select pg_advisory_lock(%s, %s)", (CLASS, self._key)
                        )
                    for duty in self._duties:
                        await connection.execute(
                            "select pg_advisory_lock_shared(%s, %s)", (_DUTY_CLASS, duty)
                        )
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


_ANYBODY = """
    select exists (select from pg_locks
      where locktype = 'advisory' and classid = %s and objsubid = 2 and granted
        and database = (select oid from pg_database where datname = current_database()))"""


async def anybody(connection: AsyncConnection) -> bool:
    """True while any worker shows presence."""
    row = await (await (await raw(connection)).execute(_ANYBODY, (CLASS,))).fetchone()
    return bool(row and row[0])


async def absent(db: Database) -> set[str]:
    """Owners of leased work that showed presence and no longer do.

    One of them may be alive and about to show it again: only its connection was cut, or PostgreSQL
    has just started.
    """
    async with db.pipelined() as driver:
        rows = await driver.execute(_ABSENT, (CLASS,))
    return {owner for (owner,) in await rows.fetchall()}


async def on_duty(connection: AsyncConnection) -> list[OnDuty]:
    """The processes alive now, by duty and host."""
    driver = await raw(connection)
    rows = await driver.execute(_ON_DUTY, (_DUTY_CLASS,))
    return [
        OnDuty(DUTIES[duty], name.removeprefix(_NAME), count)
        for duty, name, count in await rows.fetchall()
        if duty < len(DUTIES)
    ]


def this_host() -> str:
    """This machine as `OnDuty` names it; a connection's name has 63 bytes in PostgreSQL."""
    return f"{_NAME}{socket.gethostname()}"[:63].removeprefix(_NAME)

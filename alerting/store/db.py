"""One pool of PostgreSQL connections for one event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from alerting.errors import Unavailable
from alerting.observe.logs import logger

log = logger(__name__)


def driver_url(database_url: str) -> str:
    """`postgresql://…` as SQLAlchemy wants it for psycopg 3; other spellings are accepted."""
    scheme, sep, rest = database_url.partition("://")
    if not sep or scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise Unavailable(
            "DATABASE_URL does not name a PostgreSQL database.",
            remedy="It looks like postgresql://user:password@host:5432/name.",
        )
    return f"postgresql+psycopg://{rest}"


#: A statement that has not ended after so long never will: the way to PostgreSQL is cut without a
#: word. One that may take long has more time.
SILENT_S = 12.0
PATIENT_S = 300.0


class WatchedConnection(psycopg.AsyncConnection[Any]):
    """Ends a wait for a PostgreSQL that says nothing, as if the connection had been closed.

    Cancelling alone does not: psycopg then waits for the same dead socket once more.
    """

    silent_s = SILENT_S

    async def wait(self, *args: Any, **options: Any) -> Any:
        timer = asyncio.get_running_loop().call_later(self.silent_s, self._hang_up)
        try:
            return await super().wait(*args, **options)
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        log.warning("database.silent", waited_s=self.silent_s)
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.fileno())) as s:
            s.shutdown(socket.SHUT_RDWR)


#: What every session asks of PostgreSQL and of the network. A worker that stands still inside a
#: transaction must not keep its locks; a peer that is gone is noticed.
_SESSION = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": "-c idle_in_transaction_session_timeout=60s",
}


class Database:
    """Bound to the event loop that first uses it; never share it across a fork.

    Raises Unavailable when PostgreSQL does not answer, saying where it was looked for.
    """

    def __init__(self, database_url: str, *, pool_size: int = 10) -> None:
        self._engine = create_async_engine(
            driver_url(database_url),
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args=_session(database_url) | {"async_creator_fn": WatchedConnection.connect},
        )

    @asynccontextmanager
    async def begin(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed when the block ends, rolled back when it raises.

        patient: its statements may take minutes, as looking for all citizens of an area does.
        """
        connection = self._engine.connect()
        try:
            await connection.start()
        except OperationalError as e:
            where = self._engine.url.render_as_string(hide_password=True)
            raise Unavailable(
                f"PostgreSQL does not answer at {where}: {_first_line(e)}.",
                remedy="Start it, or correct DATABASE_URL; `alerting doctor` tells more.",
            ) from e
        driver = await raw(connection) if patient else None
        try:
            if isinstance(driver, WatchedConnection):
                driver.silent_s = PATIENT_S
            async with connection.begin():
                yield connection
        finally:
            if isinstance(driver, WatchedConnection):
                driver.silent_s = SILENT_S
            await connection.close()

    async def close(self) -> None:
        await self._engine.dispose()


#: What is raised while PostgreSQL is away, is starting, or has ended our connection.
AWAY = (Unavailable, OperationalError, InterfaceError, psycopg.OperationalError,
        psycopg.InterfaceError)  # fmt: skip


async def raw(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """The psycopg connection below, for COPY and `unnest`; it shares the transaction."""
    fairy = await connection.get_raw_connection()
    driver = fairy.driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise TypeError(f"expected a psycopg connection, got {type(driver)}")
    return driver


def int8s(values: Iterable[int]) -> str:
    """An array of numbers as PostgreSQL reads it; psycopg takes ten times as long for a list."""
    return "{" + ",".join(map(str, values)) + "}"


def _session(database_url: str) -> dict[str, Any]:
    """What is set for every session; `options` of the URL itself stay."""
    if "options=" in database_url:
        return {k: v for k, v in _SESSION.items() if k != "options"}
    return dict(_SESSION)


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "orig", error)).strip().splitlines()[0].rstrip(".")

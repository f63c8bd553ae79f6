"""One pool of PostgreSQL connections for one event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
from psycopg.errors import DivisionByZero, ProgramLimitExceeded
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InvalidatePoolError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from alerting.errors import BadInput, Unavailable
from alerting.observe.logs import logger
from alerting.store import revision

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


#: A statement that has not ended after this time never will: the way to PostgreSQL is cut without a
#: word. One that may take long has more time.
SILENT_S = 12.0
PATIENT_S = 300.0


class Unstorable(BadInput):
    """A value that no repetition makes PostgreSQL take."""

    def __init__(self) -> None:
        super().__init__(
            "Something in this is too long, too large or no text, so PostgreSQL cannot keep it.",
            remedy="Shorten its names and numbers, and write it in plain characters.",
        )


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


#: What every session asks of PostgreSQL and of the network. A worker that is stopped inside a
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

    `close` leaves what is under way to end in its own time; its connection ends with it.

    Raises Unavailable when PostgreSQL does not answer, saying where it was looked for, when no
    connection has come free for long, and when what a statement needs is missing because the
    schema was never made or is an older one.
    """

    def __init__(self, database_url: str, *, pool_size: int = 10) -> None:
        url = driver_url(database_url)
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            # What a statement was given is addresses and texts, and errors end in logs.
            hide_parameters=True,
            # The one last given back first: it needs no asking whether it lives.
            pool_use_lifo=True,
            connect_args=_session(database_url) | {"async_creator_fn": WatchedConnection.connect},
        )
        _ask_the_idle(self._engine.sync_engine)
        self._conninfo = url.replace("+psycopg", "", 1)
        self._session = _session(database_url)
        self._idle: list[WatchedConnection] = []
        self._closings = 0

    @asynccontextmanager
    async def begin(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises Unstorable for a value that PostgreSQL takes never, however often it is asked.

        Args:
            patient: Its statements may take minutes, as looking for all citizens of an area does.
        """
        closings = self._closings
        connection = self._engine.connect()
        try:
            await connection.start()
        except OperationalError as e:
            where = self._engine.url.render_as_string(hide_password=True)
            raise Unavailable(
                f"PostgreSQL does not answer at {where}: {_first_line(e)}.",
                remedy="Start it, or correct DATABASE_URL; `alerting doctor` tells more.",
            ) from e
        except PoolTimeoutError as e:
            raise Unavailable(
                "All connections to PostgreSQL are in use.", remedy="Ask again in a moment."
            ) from e
        driver = await raw(connection) if patient else None
        try:
            if isinstance(driver, WatchedConnection):
                driver.silent_s = PATIENT_S
            async with connection.begin():
                yield connection
        except (DBAPIError, psycopg.Error, UnicodeEncodeError) as e:
            if _is_of_the_value(e):
                raise Unstorable from e
            await self._explain(e)
            raise
        finally:
            if isinstance(driver, WatchedConnection):
                driver.silent_s = SILENT_S
            if self._closings != closings:
                # The pool it would be given back to is gone.
                await connection.invalidate()
            await connection.close()

    @asynccontextmanager
    async def pipelined(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """What is said in the block is one transaction, sent off without waiting in between; what
        it brought can be fetched when the block has ended (PostgreSQL, "Pipeline Mode").

        For what a worker says before and after every window of sends: one round trip and much
        less of the processor than `begin`. Raises what PostgreSQL says to any of it; nothing is
        written then.
        """
        closings = self._closings
        driver = self._idle.pop() if self._idle else await self._connect()
        try:
            # With a transaction of its own: else what was sent off before something that cannot
            # be said would be written all the same.
            async with driver.pipeline(), driver.transaction():
                yield driver
        except BaseException as e:
            await driver.close()
            if isinstance(e, AWAY):
                await self._forget_idle()
            await self._explain(e)
            raise
        if self._closings == closings:
            self._idle.append(driver)
        else:
            await driver.close()

    async def _explain(self, error: BaseException) -> None:
        """Raises Unavailable instead where the database's schema is not this version's."""
        if revision.says_something_is_missing(error):
            async with await self._connect() as driver:
                try:
                    await revision.refuse_older(driver)
                except Unavailable as e:
                    raise e from error

    async def _connect(self) -> WatchedConnection:
        return await WatchedConnection.connect(self._conninfo, autocommit=True, **self._session)

    async def _forget_idle(self) -> None:
        """What was idle while PostgreSQL went away is as dead as what was not."""
        idle, self._idle = self._idle, []
        for driver in idle:
            await driver.close()

    @property
    def pool(self) -> QueuePool:
        """The pool of `begin`, to be watched."""
        pool = self._engine.sync_engine.pool
        assert isinstance(pool, QueuePool)  # noqa: S101 - made so
        return pool

    async def close(self) -> None:
        self._closings += 1
        await self._forget_idle()
        await self._engine.dispose()


#: What is raised while PostgreSQL is away, is starting, or has ended our connection.
AWAY = (Unavailable, OperationalError, InterfaceError, psycopg.OperationalError,
        psycopg.InterfaceError)  # fmt: skip

#: Whatever a statement may fail by.
FAULTS = (Unavailable, SQLAlchemyError, psycopg.Error)

#: A connection given back so short a time ago is taken to live: PostgreSQL does not end and start
#: again meanwhile, and to ask costs a round trip for each transaction.
_ALIVE_S = 0.1


def _ask_the_idle(engine: Engine) -> None:
    """Before a connection is lent that was idle, see that it lives; a dead one is opened anew."""

    @event.listens_for(engine, "checkin")
    def note(_: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
        idle_since = record.info.pop("idle_since", None)
        if idle_since is None or time.monotonic() - idle_since < _ALIVE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as e:
            # All that were idle meanwhile are as dead.
            raise InvalidatePoolError from e


async def server_now(connection: AsyncConnection) -> datetime:
    """The present instant by PostgreSQL's clock."""
    found: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return found


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


def _is_of_the_value(error: Exception) -> bool:
    """True where the fault is in what was given, though its class may say that nobody answers."""
    said = getattr(error, "orig", None) or error
    if isinstance(said, DivisionByZero):
        # A mistake of ours.
        return False
    return isinstance(
        said, UnicodeEncodeError | psycopg.DataError | ProgramLimitExceeded
    ) or "number of parameters" in str(said)


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "orig", error)).strip().splitlines()[0].rstrip(".")

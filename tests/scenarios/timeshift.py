"""A database for plays: emptied before each, and with a clock that goes by the play's.

Code may ask the clock it is given or PostgreSQL: in a play of days both must say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from databases import emptying
from sqlalchemy import func, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.db import Database

#: Every way to ask for the time that is a function, and so can be covered by one of ours.
_CLOCKS = ("now", "transaction_timestamp", "statement_timestamp", "clock_timestamp")

_COVERED = """
    create function play.{clock}() returns timestamptz stable language sql
    as 'select pg_catalog.{clock}() + ahead from play.clock'"""

_DEFAULTS = """
    select table_schema, table_name, column_name from information_schema.columns
    where table_schema = 'public' and column_default = 'now()'"""


async def cover(database_url: str) -> None:
    """Give a database a clock of its own, for all connections made from now on."""
    db = Database(database_url)
    async with db.begin() as connection:
        await connection.exec_driver_sql("create schema play")
        await connection.exec_driver_sql("create table play.clock (ahead interval not null)")
        await connection.exec_driver_sql("insert into play.clock values ('0 s')")
        for clock in _CLOCKS:
            await connection.exec_driver_sql(_COVERED.format(clock=clock))
        for schema, table, column in (await connection.exec_driver_sql(_DEFAULTS)).all():
            await connection.exec_driver_sql(
                f'alter table {schema}."{table}" alter "{column}" set default play.now()'
            )
        name = await connection.scalar(text("select current_database()"))
        await connection.exec_driver_sql(
            f'alter database "{name}" set search_path = play, pg_catalog, public'
        )
    await db.close()


async def begin(connection: AsyncConnection, at: datetime) -> None:
    """Set the clock; it goes on from there."""
    await connection.execute(
        text("update play.clock set ahead = :at - pg_catalog.clock_timestamp()"), {"at": at}
    )


async def step(connection: AsyncConnection, seconds: float, *, leases: bool) -> None:
    """Move the clock on. leases: with those of workers that are alive and renew them."""
    await connection.execute(
        text("update play.clock set ahead = ahead + make_interval(secs => :s)"), {"s": seconds}
    )
    if leases:
        await connection.execute(
            text(
                "update outbox set lease_until = lease_until + make_interval(secs => :s)"
                " where state = 'leased'"
            ),
            {"s": seconds},
        )


async def empty_tables(database_url: str) -> tuple[str, ...]:
    """The tables that are empty in a new database; what others hold belongs there."""
    db = Database(database_url)
    query = text("select tablename from pg_tables where schemaname = 'public' order by 1")
    async with db.begin() as connection:
        names = (await connection.scalars(query)).all()
        rows = [select(func.count()).select_from(table(n)) for n in names]
        counts = [await connection.scalar(r) for r in rows]
    await db.close()
    # The audit is only ever added to.
    return tuple(n for n, count in zip(names, counts, strict=True) if not (count or n == "audit"))


async def empty(connection: AsyncConnection, tables: Sequence[str]) -> None:
    """Forget all there is in these tables."""
    await connection.exec_driver_sql(emptying(tables))

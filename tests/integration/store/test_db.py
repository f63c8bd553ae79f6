"""What a pool lends it has back, or it is closed."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from alerting.errors import Unavailable
from alerting.store.db import Database, Unstorable
from alerting.store.migrate import head
from alerting.store.revision import newest

WAYS = ["begin", "pipelined"]


def sessions(database_url: str) -> int:
    """How many others PostgreSQL has on this database."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
            " and backend_type = 'client backend'"
        ).fetchone()
    assert found is not None
    return int(found[0])


async def none_left(database_url: str) -> None:
    """Wait until PostgreSQL has seen off the last; one that stays runs into the test's time."""
    while sessions(database_url):  # noqa: ASYNC110 - nothing tells when it has gone
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", WAYS)
async def test_connection_returned_after_close_is_closed(database_url: str, way: str) -> None:
    db = Database(database_url)
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        lent: AbstractAsyncContextManager[Any] = getattr(db, way)()
        async with lent as connection:
            statement = "create table written (id int)"
            await connection.execute(text(statement) if way == "begin" else statement)
            inside.set()
            await go_on.wait()

    under_way = asyncio.create_task(late())
    await inside.wait()
    await db.close()
    assert sessions(database_url) == 1
    go_on.set()
    await under_way
    await none_left(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("select from written")


@pytest.mark.parametrize("way", WAYS)
async def test_closed_database_can_be_reused(database_url: str, way: str) -> None:
    db = Database(database_url)
    for _ in range(2):
        lent: AbstractAsyncContextManager[Any] = getattr(db, way)()
        async with lent as connection:
            await connection.execute(text("select 1") if way == "begin" else "select 1")
        assert sessions(database_url) == 1
        await db.close()
        await none_left(database_url)


async def test_pipeline_is_written_whole_or_not_at_all(database_url: str) -> None:
    db = Database(database_url)
    async with db.pipelined() as connection:
        await connection.execute("create table written (id int primary key)")

    async def write(*ids: int) -> None:
        async with db.pipelined() as connection:
            for id_ in ids:
                await connection.execute("insert into written values (%s)", (id_,))

    with pytest.raises(psycopg.errors.UniqueViolation):
        await write(1, 2, 2)
    async with db.pipelined() as connection:
        found = await connection.execute("select count(*) from written")
    assert await found.fetchone() == (0,)
    await db.close()


@pytest.mark.parametrize("way", WAYS)
async def test_missing_table_is_reported_as_missing_migration(
    empty_database_url: str, way: str
) -> None:
    db = Database(empty_database_url)

    async def ask() -> None:
        lent: AbstractAsyncContextManager[Any] = getattr(db, way)()
        async with lent as connection:
            statement = "select 1 from alert"
            await connection.execute(text(statement) if way == "begin" else statement)

    with pytest.raises(Unavailable, match=r"no schema yet\. Run `alerting migrate`\."):
        await ask()
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values ('0001')")
    with pytest.raises(Unavailable, match=rf"at 0001, this version needs {newest()}\."):
        await ask()
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = %s", (newest(),))
    # Then it is a mistake of ours, and is told as one.
    with pytest.raises((ProgrammingError, psycopg.ProgrammingError)):
        await ask()
    await db.close()
    await none_left(empty_database_url)


def test_newest_revision_is_head_of_migrations() -> None:
    assert newest() == head()


@pytest.mark.parametrize(
    "statement",
    [
        "select cast(:value as text)",
        "insert into audit (actor, action, subject) values ('x', :value, 'x')",
    ],
)
@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
async def test_unstorable_value_is_not_reported_as_outage(
    db: Database, statement: str, value: str
) -> None:
    with pytest.raises(Unstorable, match="PostgreSQL cannot keep it"):
        async with db.begin() as connection:
            await connection.execute(text(statement), {"value": value})


async def test_value_too_long_for_index_is_unstorable(db: Database) -> None:
    async with db.begin() as connection:
        await connection.execute(text("create table named (name text primary key)"))
    long = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(9_000))
    with pytest.raises(Unstorable):
        async with db.begin() as connection:
            await connection.execute(text("insert into named values (:name)"), {"name": long})


async def test_error_contains_no_parameters(db: Database) -> None:
    # Not written out, because a traceback shows lines of source.
    number = "+" + str(447700900123)
    with pytest.raises(DBAPIError) as caught:
        async with db.begin() as connection:
            await connection.execute(text("select no_such(:to)"), {"to": number})
    assert number not in "".join(traceback.format_exception(caught.value))

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from alerting.errors import Unavailable, WorkFailed
from alerting.store.db import Database, driver_url
from alerting.store.migrate import at_head, migrate
from alerting.store.schema import metadata


def test_migrations_produce_the_metadata(database_url: str) -> None:
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_concurrent_migrations_take_turns(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(migrate, [empty_database_url] * 2))
    assert sorted(before is None for before, _ in results) == [False, True]
    assert len({now for _, now in results}) == 1


def test_newer_schema_is_refused_unchanged(empty_database_url: str) -> None:
    engine = create_engine(driver_url(empty_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("create table alembic_version (version_num varchar(32))"))
        connection.execute(text("insert into alembic_version values ('9999')"))
    with pytest.raises(WorkFailed, match=r"revision 9999.*Install|install that version"):
        migrate(empty_database_url)
    with engine.connect() as connection:
        tables = connection.execute(
            text("select count(*) from pg_tables where schemaname = 'public'")
        ).scalar()
    assert tables == 1
    engine.dispose()


@pytest.mark.parametrize(("oldest", "fits"), [("0001", True), ("9998", False)])
async def test_newer_compatible_schema_is_accepted(
    db: Database, database_url: str, oldest: str, fits: bool
) -> None:
    async with db.begin() as connection:
        assert await at_head(connection)
        await connection.execute(text("update alembic_version set version_num = '9999'"))
        await connection.execute(text(f"comment on table alembic_version is 'works with {oldest}'"))
    async with db.begin() as connection:
        assert await at_head(connection) is fits
    if fits:
        assert migrate(database_url) == ("9999", "9999")
    else:
        with pytest.raises(WorkFailed, match="does not know"):
            migrate(database_url)


async def test_older_schema_is_not_at_head(db: Database) -> None:
    async with db.begin() as connection:
        await connection.execute(text("update alembic_version set version_num = '0002'"))
        assert not await at_head(connection)


def test_missing_database_names_the_setting() -> None:
    with pytest.raises(Unavailable, match=r"PostgreSQL does not answer.*DATABASE_URL"):
        migrate("postgresql://nobody@127.0.0.1:9/none")


def test_bad_url_is_refused() -> None:
    with pytest.raises(Unavailable, match="postgresql://user:password@host"):
        migrate("mysql://localhost/x")

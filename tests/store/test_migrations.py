from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from alerting.errors import Unavailable, WorkFailed
from alerting.store.db import driver_url
from alerting.store.migrate import migrate
from alerting.store.schema import metadata


def test_the_migrations_make_the_very_schema(database_url: str) -> None:
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_two_that_start_together_take_turns(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(migrate, [empty_database_url] * 2))
    assert sorted(before is None for before, _ in results) == [False, True]
    assert len({now for _, now in results}) == 1


def test_a_newer_schema_is_refused_and_left_alone(empty_database_url: str) -> None:
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


def test_no_database_says_where_to_look() -> None:
    with pytest.raises(Unavailable, match=r"PostgreSQL does not answer.*DATABASE_URL"):
        migrate("postgresql://nobody@127.0.0.1:9/none")


def test_an_address_that_is_no_postgresql_is_refused() -> None:
    with pytest.raises(Unavailable, match="postgresql://user:password@host"):
        migrate("mysql://localhost/x")

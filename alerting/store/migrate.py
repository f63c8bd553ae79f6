"""Brings a database to this version's schema, once, whoever starts first."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from alerting.errors import Unavailable, WorkFailed
from alerting.store.db import driver_url

#: Taken for the length of a migration, so that two starting at once take turns.
LOCK = 0x616C6572


def migrate(database_url: str) -> tuple[str | None, str]:
    """Upgrade the schema to the newest revision under an advisory lock.

    Returns (revision before, revision now). Raises Unavailable when PostgreSQL does not answer,
    WorkFailed when the database was made by a newer version of this program: nothing is changed.
    """
    config = _config()
    engine = create_engine(
        driver_url(database_url), poolclass=NullPool, connect_args={"connect_timeout": 5}
    )
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
            connection.commit()
            before = current(connection)
            _refuse_newer(before, config)
            if before != head():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
            return before, head()
    except OperationalError as e:
        raise Unavailable(
            f"PostgreSQL does not answer: {str(e.orig).strip().splitlines()[0]}.",
            remedy="Start it, or correct DATABASE_URL; `alerting doctor` tells more.",
        ) from e
    finally:
        engine.dispose()


def head() -> str:
    """The revision this version of the program needs."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(connection: Connection) -> str | None:
    """The revision the database is at; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


async def at_head(connection: AsyncConnection) -> bool:
    """True when the database has exactly this version's schema."""
    return await connection.run_sync(current) == head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _refuse_newer(revision: str | None, config: Config) -> None:
    known = {s.revision for s in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise WorkFailed(
            f"The database's schema is at revision {revision}, which this version does not know.",
            remedy="A newer version made it: install that version, or restore a matching backup.",
        )

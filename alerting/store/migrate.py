"""Upgrades a database to this version's schema; of several processes that start, one does it."""

from __future__ import annotations

import re
import time
from functools import cache
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

#: Held during a migration, so that of two processes one waits.
LOCK = 0x616C6572


#: How often a process that waits for another's migration looks again.
_TURN_S = 0.2

_WORKS_WITH = re.compile(r"works with (\d{4})")


def migrate(database_url: str) -> tuple[str | None, str]:
    """Upgrade the schema to this version's newest revision, one process at a time.

    Workers of the version before may go on sending meanwhile. Returns (revision before, revision
    now). A newer schema that this version works with is left as it is. Raises Unavailable when
    PostgreSQL does not answer, WorkFailed when the schema is newer and this version does not work
    with it; nothing is changed then.
    """
    config = _config()
    engine = create_engine(
        driver_url(database_url), poolclass=NullPool, connect_args={"connect_timeout": 5}
    )
    try:
        with engine.connect() as connection:
            _take_turn(connection)
            before = current(connection)
            if before not in _known_revisions():
                _refuse_incompatible(before, connection)
                return before, str(before)
            if before != head():
                # Each revision has transactions of its own.
                connection.commit()
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
    """The revision this version of the program makes."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(connection: Connection) -> str | None:
    """The revision the database is at; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


async def at_head(connection: AsyncConnection) -> bool:
    """True when this version works with the database's schema: its own, or a newer one that says
    so. A process that was started before a migration thus stays in service after it."""
    return await connection.run_sync(_fits)


def _fits(connection: Connection) -> bool:
    revision = current(connection)
    if revision == head():
        return True
    return revision not in _known_revisions() and _oldest(connection) <= head()


def _oldest(connection: Connection) -> str:
    """The oldest revision whose programs work on this schema; the schema's own where it says
    nothing. Revisions are numbers of four digits, so they compare as texts."""
    words = connection.execute(
        text("select obj_description(to_regclass('alembic_version'), 'pg_class')")
    ).scalar()
    found = _WORKS_WITH.search(words or "")
    return found[1] if found else current(connection) or ""


def _take_turn(connection: Connection) -> None:
    """Wait for the migration lock, without a transaction: building an index waits for
    transactions."""
    taking = text("select pg_try_advisory_lock(:lock)")
    while not connection.execute(taking, {"lock": LOCK}).scalar():
        connection.commit()
        time.sleep(_TURN_S)
    connection.commit()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache
def _known_revisions() -> frozenset[str | None]:
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return frozenset({s.revision for s in scripts} | {None})


def _refuse_incompatible(revision: str | None, connection: Connection) -> None:
    if _oldest(connection) > head():
        raise WorkFailed(
            f"The database's schema is at revision {revision}, which this version does not know.",
            remedy="A newer version made it: install that version, or restore a matching backup.",
        )

"""Which schema a database has, and which one this version of the program needs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.exc import ProgrammingError

from alerting.errors import NotMigrated

#: A table, column or function that is not there (PostgreSQL, appendix A).
_MISSING = {"42P01", "42703", "42883"}


@cache
def newest() -> str:
    """The revision this version makes. Each is a file that begins with its number."""
    versions = Path(__file__).parent / "migrations" / "versions"
    return max(path.name[:4] for path in versions.glob("[0-9][0-9][0-9][0-9]_*.py"))


def says_something_is_missing(error: BaseException) -> bool:
    """True for an error that a database without our schema, or with an older one, gives."""
    found = error.orig if isinstance(error, ProgrammingError) else error
    return isinstance(found, psycopg.Error) and found.sqlstate in _MISSING


async def server_version(connection: psycopg.AsyncConnection[Any]) -> str:
    """PostgreSQL's own version, such as "17.4"."""
    (found,) = await (await connection.execute("show server_version")).fetchone() or ("",)
    return str(found).split()[0]


async def refuse_older(connection: psycopg.AsyncConnection[Any]) -> None:
    """Raises NotMigrated when the database has no schema of ours, or an older one than we need."""
    rows = await connection.execute("select to_regclass('alembic_version') is not null")
    (made,) = await rows.fetchone() or (False,)
    there = None
    if made:
        rows = await connection.execute("select max(version_num) from alembic_version")
        (there,) = await rows.fetchone() or (None,)
    if there is None:
        raise NotMigrated("The database has no schema yet.", remedy="Run `alerting migrate`.")
    if there < newest():
        raise NotMigrated(
            f"The database's schema is at {there}, this version needs {newest()}.",
            remedy="Run `alerting migrate`.",
        )

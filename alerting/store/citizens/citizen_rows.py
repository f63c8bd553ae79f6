"""Rows of new citizens, written by COPY with ids taken beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.db import raw


class Table(StrEnum):
    """A table to write to, and the columns of a row in order."""

    CITIZEN = "citizen (id, ref, language, channels)"
    PLACE = "place (citizen_id, no, name, lat, lon, cell)"
    ADDRESS = "address (citizen_id, channel, endpoint, keys)"

    @property
    def copying(self) -> str:
        return f"copy {self} from stdin"


_TABLES = "citizen, place, address"


async def new_ids(connection: AsyncConnection, count: int) -> list[int]:
    """Ids that no citizen has or will be given, in rising order."""
    cursor = await (await raw(connection)).execute(
        "select nextval(pg_get_serial_sequence('citizen', 'id')) from generate_series(1, %s)",
        (count,),
    )
    return sorted(row[0] for row in await cursor.fetchall())


async def write(
    connection: AsyncConnection, table: Table, rows: Iterable[Sequence[object]]
) -> None:
    """Write rows of values. Raises psycopg's UniqueViolation for a `ref` that is there."""
    async with (await raw(connection)).cursor() as cursor, cursor.copy(table.copying) as copy:
        for row in rows:
            await copy.write_row(row)


async def write_lines(connection: AsyncConnection, table: Table, lines: Iterable[str]) -> None:
    """Write rows that are lines of COPY's text format: faster, for values that need no escape."""
    async with (await raw(connection)).cursor() as cursor, cursor.copy(table.copying) as copy:
        await copy.write("".join(lines))


async def numbered(connection: AsyncConnection, prefix: str) -> tuple[int, int | None]:
    """The number of citizens whose `ref` is not `prefix` and a number, and the highest number."""
    cursor = await (await raw(connection)).execute(
        """select count(*) filter (where ref !~ %(form)s),
                  max(substring(ref from %(form)s)::int8) from citizen""",
        {"form": rf"^{prefix}(\d+)$"},
    )
    others, last = await cursor.fetchone() or (0, None)
    return int(others), last


async def analyze(connection: AsyncConnection) -> None:
    """Update PostgreSQL's statistics of the tables."""
    await (await raw(connection)).execute(f"analyze {_TABLES}")


async def vacuum(database_url: str) -> None:
    """Update statistics and the visibility map, so that index-only scans need not visit the table.

    On a connection of its own: it cannot run within a transaction.
    """
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"vacuum analyze {_TABLES}")

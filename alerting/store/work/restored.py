"""A database restored from a backup: recognising it, and making it fit to send again.

Every database notes its place when its first work is claimed. A dump carries that note along, so a
database in another place was restored from one. PostgreSQL itself then refuses every claim
(revision 0003), from workers of any version.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.store.states import A, W
from alerting.store.work.presence import CLASS

#: Rows of the outbox that may have been numbered after the dump was taken. Their numbers, and those
#: of their deliveries, are known to providers and must not be given to others.
_NUMBERS_SKIPPED = 1_000_000

#: SQL: it was not restored, or was reconciled since.
IS_HOME = literal_column(
    "coalesce((select value = alerting_home() from secret where name = 'home'), true)", Boolean
)


def reconciling(database_url: str) -> str:
    """The key under which work may be claimed before workers may."""
    joint = "&" if "?" in database_url else "?"
    return f"{database_url}{joint}options=-calerting.reconciling%3Don"


async def is_home(connection: AsyncConnection) -> bool:
    """False for a database that was restored and not reconciled."""
    return bool(await connection.scalar(select(IS_HOME)))


async def make_home(connection: AsyncConnection) -> None:
    """Allow workers to send from this database."""
    await connection.execute(
        text(
            """insert into secret (name, value) values ('home', alerting_home())
               on conflict (name) do update set value = excluded.value"""
        )
    )


async def workers_present(connection: AsyncConnection) -> int:
    """The number of workers connected to this database."""
    query = """select count(*) from pg_locks where locktype = 'advisory' and classid = :class
               and granted and database =
                 (select oid from pg_database where datname = current_database())"""
    return int(await connection.scalar(text(query), {"class": CLASS}) or 0)


async def known_below(connection: AsyncConnection, since: datetime) -> int:
    """The outbox id above which the backup knows nothing; the same on a second call."""
    query = """
        select coalesce(
          min(before + 1) filter (where created_at > :since and id - before >= :skipped),
          max(id) + 1, 1)
        from (select id, created_at, lag(id) over (order by id) as before from outbox) o"""
    found = await connection.scalar(text(query), {"since": since, "skipped": _NUMBERS_SKIPPED})
    return int(found or 1)


async def skip_numbers(connection: AsyncConnection) -> None:
    """Never assign a number again that work made after the dump may have had."""
    await connection.execute(
        text(
            """select setval(pg_get_serial_sequence('outbox', 'id'),
                             coalesce(max(id), 0) + :skipped) from outbox"""
        ),
        {"skipped": _NUMBERS_SKIPPED},
    )


async def free(connection: AsyncConnection) -> None:
    """Take all open work from its dead owners and make it due."""
    await connection.execute(
        text(
            f"""update outbox set state = '{W.READY}', fence = fence + 1, lease_until = null,
                 owner = '', not_before = least(not_before, now())
               where state in ('{W.READY}','{W.LEASED}')
                 and (kind = 'deliver' or not_before <= now()
                 or state = '{W.LEASED}')"""  # noqa: S608
        )
    )


async def open_work(connection: AsyncConnection, kind: str) -> list[int]:
    """The ids of open rows of one kind, the highest lane first."""
    query = f"""select id from outbox where kind = :kind and state = '{W.READY}'
               order by array_position(array['extreme','severe'], lane), id"""  # noqa: S608
    return [row.id for row in await connection.execute(text(query), {"kind": kind})]


async def open_alerts(connection: AsyncConnection) -> list[UUID]:
    """The alerts that will go on when workers start."""
    query = f"""select id from alert a where state in ('{A.ACCEPTED}','{A.DELIVERING}') and exists (
                 select from outbox o where o.alert_id = a.id and o.state = '{W.READY}')
               order by sent_at"""  # noqa: S608
    return [row.id for row in await connection.execute(text(query))]

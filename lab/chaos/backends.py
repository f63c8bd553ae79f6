"""Queries of the faults to PostgreSQL while an alert goes out."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from alerting.store.work.presence import CLASS


async def claimed_by(database_url: str, pids: Sequence[int]) -> frozenset[int]:
    """The chunks these processes have claimed; empty when PostgreSQL is away."""
    if not pids:
        return frozenset()
    try:
        async with await psycopg.AsyncConnection.connect(
            database_url, connect_timeout=2
        ) as connection:
            cursor = await connection.execute(
                """select id from outbox where state = 'leased'
                   and split_part(split_part(owner, '#', 1), ':', 2) = any(%s)""",
                ([str(pid) for pid in pids],),
            )
            return frozenset(row[0] for row in await cursor.fetchall())
    except psycopg.OperationalError:
        return frozenset()


async def end_presence(database_url: str) -> int:
    """End every connection that shows a worker's presence; returns how many, 0 when PostgreSQL
    is away."""
    try:
        async with await psycopg.AsyncConnection.connect(
            database_url, connect_timeout=2
        ) as connection:
            cursor = await connection.execute(
                """select count(pg_terminate_backend(pid)) from pg_locks
                   where locktype = 'advisory' and classid = %s and objsubid = 2 and granted""",
                (CLASS,),
            )
            row = await cursor.fetchone()
            return int(row[0]) if row else 0
    except psycopg.OperationalError:
        return 0

"""Stops as one database passes them to another: those that a restored dump does not know."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.endpoint import endpoint_key
from alerting.store import audit_log
from alerting.store.citizens import suppressions
from alerting.store.citizens.suppressions import Endpoint, Source
from alerting.store.db import raw

_LEARN = """
    insert into suppression (channel, key, source, stopped_at, changed_at, lifted_at)
    select l.channel, l.key, l.source, l.at, l.at, l.lifted
    from unnest(%(channels)s::text[], %(keys)s::bytea[], %(sources)s::text[],
                %(at)s::timestamptz[], %(lifted)s::timestamptz[]) as l(channel, key, source, at,
                lifted)
    on conflict (channel, key) do update set source = excluded.source,
      stopped_at = excluded.stopped_at, changed_at = excluded.changed_at,
      lifted_at = excluded.lifted_at"""


class Change(NamedTuple):
    """A suppression as it is since `at`."""

    channel: str
    key: bytes
    source: Source
    at: datetime
    lifted: bool


async def changes(connection: AsyncConnection, *, since: datetime | None = None) -> list[Change]:
    """What was said and taken back since then, the oldest first; None for all of it."""
    driver = await raw(connection)
    cursor = await driver.execute(
        """select channel, key, source, changed_at, lifted_at is not null from suppression
           where changed_at >= coalesce(%s, '-infinity'::timestamptz) order by changed_at""",
        (since,),
    )
    return [Change(c, k, Source(s), at, lifted) for c, k, s, at, lifted in await cursor.fetchall()]


async def newer(connection: AsyncConnection, known: Collection[Change]) -> list[Change]:
    """The last of each endpoint that is unknown here, or later than what is known here."""
    driver = await raw(connection)
    cursor = await driver.execute("select channel, key, changed_at from suppression")
    here = {(channel, key): at for channel, key, at in await cursor.fetchall()}
    last = {(c.channel, c.key): c for c in sorted(known, key=lambda c: c.at)}
    return [c for name, c in last.items() if name not in here or c.at > here[name]]


async def learn(connection: AsyncConnection, found: Collection[Change], *, actor: str) -> int:
    """Make changes ours that another database saw; returns how many.

    They count for the addresses that are here, and for those that come.
    """
    driver = await raw(connection)
    values = {
        "channels": [c.channel for c in found],
        "keys": [c.key for c in found],
        "sources": [c.source.value for c in found],
        "at": [c.at for c in found],
        "lifted": [c.at if c.lifted else None for c in found],
    }
    await driver.execute(_LEARN, values)
    wanted = {(c.channel, c.key): c for c in found}
    stopped: list[Endpoint] = []
    started: list[Endpoint] = []
    secret = await suppressions.secret(connection)
    async with driver.cursor(name="endpoints") as cursor:
        await cursor.execute("select channel, endpoint from address")
        async for channel, endpoint in cursor:
            change = wanted.get((channel, endpoint_key(secret, channel, endpoint)))
            if change is not None:
                (started if change.lifted else stopped).append(Endpoint(channel, endpoint))
    for endpoints, query in ((stopped, suppressions.MARK), (started, suppressions.GIVE_BACK)):
        await driver.execute(query, suppressions.arrays(secret, endpoints))
    detail = {"stopped": sum(not c.lifted for c in found), "started": sum(c.lifted for c in found)}
    await audit_log.record(connection, actor, "consent.learn", "suppressions", detail)
    return len(found)


async def lineage(connection: AsyncConnection) -> str:
    """Tells the keys of this database, and of copies of it, from those of any other."""
    return endpoint_key(await suppressions.secret(connection), "", "lineage").hex()[:16]

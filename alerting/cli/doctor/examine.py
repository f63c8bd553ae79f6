"""The checks of `alerting doctor`, in the order a start needs them."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.addresses import broker_url, database_url, redis_url
from alerting.bootstrap import stand_ins
from alerting.cli.doctor import ours, services
from alerting.cli.doctor.check import Check, Note, look
from alerting.embedded import engines as embedded
from alerting.embedded import postgres
from alerting.embedded import redis as embedded_redis
from alerting.settings import Settings
from alerting.store.admin import secrets
from alerting.store.db import Database

Asked = Callable[[AsyncConnection], Awaitable[str | Note]]

#: Checks of the database's content, once it answers with our schema.
_ASKED: dict[str, Asked] = {
    "clock": services.clock,
    "keys": ours.keys,
    "backup": ours.backup,
    "workers": ours.workers,
    "alarms": ours.alarms,
    "drills": ours.drills,
}


async def examine(config: Settings) -> list[Check]:
    """Run every check; one that depends on a failed one is skipped, so one cause is named once."""
    checks = [Check("python", True, platform.python_version())]
    if config.embedded_database:
        checks.append(await look("embedded PostgreSQL", _path(postgres.binaries)))
    if config.embedded_redis:
        checks.append(await look("embedded Valkey", _path(embedded_redis.binary)))
    if not _running(config):
        idle = f"none runs on {config.var}/"
        checks.append(Check("engines", True, idle, "`alerting up` starts them."))
        checks += services.ports(config)
        # Nothing of the sandbox works without the engines.
        return checks + (await _carriers(config, None, idle=True))
    database, redis = await asyncio.gather(_database(config), _redis(config))
    vapid = await _vapid(config) if database[0].good else None
    return checks + database + redis + await _carriers(config, vapid, idle=False)


def _running(config: Settings) -> bool:
    wanted = config.embedded_database or config.embedded_redis
    return not wanted or embedded.find(config.var) is not None


async def _path(find: Callable[[], object]) -> str:
    return str(find())


async def _database(config: Settings) -> list[Check]:
    db = Database(database_url(config))

    async def ask(query: Asked) -> str | Note:
        async with db.begin() as connection:
            return await query(connection)

    try:
        first = await look("database", ask(services.database))
        if not first.good:
            return [first]
        return [first, *[await look(name, ask(query)) for name, query in _ASKED.items()]]
    finally:
        await db.close()


async def _vapid(config: Settings) -> bytes | None:
    db = Database(database_url(config))
    try:
        async with db.begin() as connection:
            return await secrets.find(connection, "vapid")
    finally:
        await db.close()


async def _redis(config: Settings) -> list[Check]:
    urls = redis_url(config), broker_url(config)
    found = [await look("redis", services.redis_server(urls[0]))]
    if urls[0] != urls[1] or found[0].good:
        found.append(await look("broker", services.broker(urls[1])))
    return found


async def _carriers(config: Settings, vapid: bytes | None, *, idle: bool) -> list[Check]:
    looks = services.looks(config, stand_ins(config), vapid)
    if idle and config.carriers == "sandbox":
        looks = {"carriers": looks["carriers"]}
    return list(await asyncio.gather(*(look(name, found()) for name, found in looks.items())))

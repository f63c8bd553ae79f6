"""What `alerting doctor` looks at. Each check finds out for itself and never raises."""

from __future__ import annotations

import asyncio
import platform
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import redis
from kombu.connection import Connection
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from alerting.bootstrap import broker_url, database_url, redis_url
from alerting.embedded import engines, postgres
from alerting.embedded import redis as embedded_redis
from alerting.errors import AlertingError
from alerting.settings import Settings
from alerting.store import keys, restored, rosters
from alerting.store.db import Database, driver_url
from alerting.store.migrate import current, head
from alerting.store.schema import alarm

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and what to do where it is not good."""

    name: str
    good: bool
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(config: Settings) -> list[Check]:
    """Look at everything, in the order a start needs it."""
    running = engines.find(config.var)
    checks = [Check("python", True, platform.python_version())]
    if config.embedded_database:
        checks.append(_try("embedded PostgreSQL", lambda: str(postgres.binaries())))
    if config.embedded_redis:
        checks.append(_try("embedded Redis", lambda: str(embedded_redis.binary())))
    if (config.embedded_database or config.embedded_redis) and running is None:
        checks.append(Check("engines", True, f"not running on {config.var}/; `alerting up` does"))
        checks += _ports(config)
    else:
        checks.append(_try("database", lambda: _schema(database_url(config))))
        checks.append(_try("keys", lambda: _keys(database_url(config))))
        checks.append(_try("backup", lambda: _home(database_url(config))))
        checks.append(_try("alarms", lambda: _alarms(database_url(config))))
        checks.append(_try("drills", lambda: _drills(database_url(config))))
        checks.append(_try("redis", lambda: _ping(redis_url(config))))
        checks.append(_try("broker", lambda: _broker(broker_url(config))))
    return checks + _carriers(config)


def _try(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except AlertingError as e:
        return Check(name, False, e.detail, e.remedy)
    except Exception as e:
        words = str(e).strip().splitlines() or [type(e).__name__]
        return Check(name, False, words[0], f"Check that {name} runs and its address is right.")


def _schema(url: str) -> str:
    engine = create_engine(driver_url(url), poolclass=NullPool, connect_args={"connect_timeout": 3})
    try:
        with engine.connect() as connection:
            revision = current(connection)
    finally:
        engine.dispose()
    if revision != head():
        raise AlertingError(
            f"The schema is at {revision}, this version needs {head()}.",
            remedy="Run `alerting migrate`.",
        )
    return f"answers, schema {revision}"


def _alarms(url: str) -> str:
    engine = create_engine(driver_url(url), poolclass=NullPool, connect_args={"connect_timeout": 3})
    try:
        with engine.connect() as connection:
            query = select(alarm.c.kind, alarm.c.subject).where(alarm.c.closed_at.is_(None))
            found = [f"{row.kind} {row.subject}" for row in connection.execute(query)]
    finally:
        engine.dispose()
    if found:
        raise AlertingError(
            f"{len(found)} open: {', '.join(found[:5])}.", remedy="`alerting alarms` says more."
        )
    return "none"


def _keys(url: str) -> str:
    found = [k for k in _asked(url, keys.every) if k.revoked_at is None]
    if ownerless := [k.name for k in found if k.unassigned]:
        # They work as before: a reason to do something, none to call the installation unfit.
        belongs = "belongs" if len(ownerless) == 1 else "belong"
        return (
            f"{len(found)} live, of which {', '.join(ownerless)} {belongs} to nobody: "
            "`alerting keys assign NAME --person P | --machine`"
        )
    return f"{len(found)} live"


def _asked(url: str, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    async def ask() -> T:
        db = Database(url)
        try:
            async with db.begin() as connection:
                return await query(connection)
        finally:
            await db.close()

    return asyncio.run(ask())


def _home(url: str) -> str:
    if not _asked(url, restored.is_home):
        raise AlertingError(
            "This database was restored from a backup; workers do not send from it.",
            remedy="Run `alerting reconcile`; docs/runbooks/backup.md.",
        )
    return "ours"


def _drills(url: str) -> str:
    """A note, not a fault: what an older version rehearsed with is none of this one's rosters."""

    async def ask() -> tuple[int, bool]:
        db = Database(url)
        try:
            async with db.begin() as connection:
                return len(await rosters.names(connection)), await rosters.only_groups(connection)
        finally:
            await db.close()

    count, only_groups = asyncio.run(ask())
    if only_groups:
        return (
            "no rosters; groups of the register take no part in drills, ask their members and "
            "enrol them: `alerting drill roster create` and `add`"
        )
    return f"{count} rosters" if count else "no rosters"


def _ping(url: str) -> str:
    with redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as client:
        info = client.info("server")
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        raise AlertingError(
            f"Redis may throw keys away (maxmemory-policy {policy}).",
            remedy="Set maxmemory-policy to noeviction: an evicted doorbell is a lost one.",
        )
    return f"answers, version {info['redis_version']}"


def _broker(url: str) -> str:
    with Connection(url, connect_timeout=3) as connection:
        connection.ensure_connection(max_retries=1)
        return f"answers ({connection.transport.driver_name})"


def _ports(config: Settings) -> list[Check]:
    wanted = {"ALERTING_PORT": config.port}
    if config.carriers == "sandbox":
        wanted["ALERTING_SANDBOX_PORT"] = config.sandbox_port
        wanted["ALERTING_SANDBOX_SMTP_PORT"] = config.sandbox_smtp_port
    return [_free(name, config.host, port) for name, port in wanted.items()]


def _free(name: str, host: str, port: int) -> Check:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError as e:
            return Check(f"port {port}", False, str(e.strerror), f"Set {name} to another port.")
    return Check(f"port {port}", True, "free")


def _carriers(config: Settings) -> list[Check]:
    """With real carriers: at least one channel, none half configured, and a public address."""
    if config.carriers == "sandbox":
        return [Check("carriers", True, "sandbox: nothing leaves this machine")]
    sender = config.twilio_from or config.twilio_messaging_service
    sms = [config.twilio_account_sid, config.twilio_auth_token.get_secret_value(), sender]
    return [
        Check(
            "channels",
            bool(config.twilio_account_sid or config.smtp_host),
            " ".join(
                [
                    "push",
                    *["sms"] * bool(config.twilio_account_sid),
                    *["email"] * bool(config.smtp_host),
                ]
            ),
            "Set ALERTING_TWILIO_ACCOUNT_SID or ALERTING_SMTP_HOST and what they need.",
        ),
        Check(
            "sms",
            all(sms) or not any(sms),
            "configured" if all(sms) else "half configured" if any(sms) else "not configured",
            "Set ALERTING_TWILIO_ACCOUNT_SID, _AUTH_TOKEN and _FROM or _MESSAGING_SERVICE.",
        ),
        Check(
            "public address",
            config.public_url.startswith("https://"),
            config.public_url,
            "Set ALERTING_PUBLIC_URL to the https address that citizens and Twilio reach.",
        ),
        *_drill_senders(config),
    ]


def _drill_senders(config: Settings) -> list[Check]:
    """A note for each SMS account whose drills go by the number of real alerts."""
    return [
        Check(
            f"sms.{no} for drills",
            True,
            "goes by the sender of real alerts, which a STOP to a drill would block; "
            "its …_FROM_DRILL sets another",
        )
        for no, account in enumerate(config.twilio_accounts, 1)
        if not account.from_drill
    ]

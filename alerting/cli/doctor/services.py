"""The services an installation needs: PostgreSQL, Redis, broker, ports, providers.

Each is asked whether it works and is not outdated; no message is sent.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

import aiohttp
import redis.asyncio as redis
from kombu.connection import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels import registry
from alerting.channels.spec import Check as ChannelCheck
from alerting.channels.spec import Sandbox, Setup
from alerting.cli.doctor.check import ANSWER_S, Check, Note
from alerting.dispatch.broker import on_rabbitmq
from alerting.errors import AlertingError
from alerting.settings import Settings, for_kombu
from alerting.start import asked_for, on_loopback, require_fit
from alerting.store import revision
from alerting.store.db import raw, server_now
from alerting.store.migrate import at_head, current

Look = Callable[[], Awaitable[str | Note]]

#: The first release of each line without critical faults (PostgreSQL's of November 2025;
#: CVE-2025-49844 of Redis and Valkey, by which a script takes over the server).
_POSTGRES = {14: 20, 15: 15, 16: 11, 17: 7, 18: 1}
_REDIS = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
_VALKEY = {(7, 2): 11, (8, 0): 6, (8, 1): 4}

#: A machine that is further off does no maintenance; a small difference gets a note.
_FAR_S = 60.0
_OFF_S = 2.0


async def database(connection: AsyncConnection) -> str | Note:
    """Ask PostgreSQL for its version and schema.

    Raises:
        AlertingError: When the schema is not one that this version works with, or the server is too
            old.
    """
    driver = await raw(connection)
    await revision.refuse_older(driver)
    there = await connection.run_sync(current)
    if not await at_head(connection):
        raise AlertingError(
            f"The schema is at {there}, which this version does not know.",
            remedy="Install the version that made it.",
        )
    version = await revision.server_version(driver)
    found = f"PostgreSQL {version}, schema {there}"
    major, minor = _numbers(version)[:2]
    if major < min(_POSTGRES):
        raise AlertingError(f"{found}: too old.", remedy="Use PostgreSQL 14 or newer.")
    if minor < _POSTGRES.get(major, 0):
        return Note(f"{found}: old", f"Install {major}.{_POSTGRES[major]} or newer.")
    return found


async def clock(connection: AsyncConnection) -> str | Note:
    before = datetime.now(UTC)
    there = await server_now(connection)
    here = before + (datetime.now(UTC) - before) / 2
    off_s = (here - there).total_seconds()
    found = f"{abs(off_s):.1f} s {'ahead of' if off_s > 0 else 'behind'} PostgreSQL's"
    if abs(off_s) > _FAR_S:
        raise AlertingError(
            f"{found}: this machine does no maintenance.", remedy="Set both clocks by NTP."
        )
    return Note(found, "Set both clocks by NTP.") if abs(off_s) > _OFF_S else found


async def redis_server(url: str) -> str | Note:
    async with redis.from_url(
        url, socket_connect_timeout=ANSWER_S, socket_timeout=ANSWER_S
    ) as client:
        info = await client.info("server")
        policy = (await client.config_get("maxmemory-policy")).get("maxmemory-policy")
    if policy not in {"noeviction", None}:
        raise AlertingError(
            f"Redis may throw keys away (maxmemory-policy {policy}).",
            remedy="Set maxmemory-policy to noeviction: an evicted task is a lost one.",
        )
    name, known = "Redis", _REDIS
    version = str(info["redis_version"])
    if "valkey_version" in info:
        name, known, version = "Valkey", _VALKEY, str(info["valkey_version"])
    major, minor, patch = _numbers(version)
    if (major, minor) < max(known) and patch < known.get((major, minor), 999):
        return Note(
            f"{name} {version}: old, whoever reaches it can take it over",
            "Install the newest release of its line, and let nobody else reach it.",
        )
    return f"{name} {version}"


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch, *_ = [int(n) for n in re.findall(r"\d+", version)] + [0, 0, 0]
    return major, minor, patch


async def broker(url: str) -> str:
    return await asyncio.to_thread(_broker, url)


def _broker(url: str) -> str:
    bounds = ("read_timeout", "write_timeout") if on_rabbitmq(url) else ("socket_timeout",)
    with Connection(
        for_kombu(url),
        connect_timeout=ANSWER_S,
        transport_options=dict.fromkeys(bounds, ANSWER_S),
    ) as connection:
        connection.ensure_connection(max_retries=1)
        return f"answers ({connection.transport.driver_name})"


def ports(config: Settings) -> list[Check]:
    """Check that the ports of `alerting up` are free."""
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


def looks(config: Settings, sandbox: Sandbox | None, vapid: bytes | None) -> dict[str, Look]:
    """The checks of the providers and the public address, by name.

    Args:
        sandbox: The stand-in carriers, when those are used.
        vapid: The push key, None when it is unknown.
    """
    found: dict[str, Look] = {"carriers": partial(_carriers, config)}
    if config.carriers == "sandbox" and not asked_for(config):
        return found
    setup = Setup(config, vapid or b"", b"", sandbox)
    for spec in registry.specs():
        if spec.checks is not None:
            for name, check in spec.checks(setup).items():
                found[name] = partial(_of_channel, check)
    if config.carriers == "real":
        found["public address"] = partial(_public_address, config)
    return found


async def _of_channel(check: ChannelCheck) -> str | Note:
    found = await check()
    return Note(found.text, found.remedy) if found.remedy else found.text


async def _carriers(config: Settings) -> str | Note:
    require_fit(config)
    if config.carriers == "sandbox":
        found = "sandbox: nothing leaves this machine"
        if config.embedded_database:
            return found
        return Note(found, "Set ALERTING_CARRIERS=real to reach people.")
    token = config.twilio_auth_token.get_secret_value()
    if not config.twilio_account_sid and (token or config.twilio_from):
        raise AlertingError(
            "SMS is half configured.", remedy="Set ALERTING_TWILIO_ACCOUNT_SID as well."
        )
    if not config.twilio_accounts and not config.smtp_relays:
        raise AlertingError(
            "There is neither SMS nor email.",
            remedy="Set ALERTING_TWILIO_ACCOUNT_SID or ALERTING_SMTP_HOST and what they need.",
        )
    return "real"


async def _public_address(config: Settings) -> str | Note:
    """Ask the address where citizens and Twilio connect; it may be unreachable from here only."""
    url = config.public_url
    if on_loopback(urlsplit(url).hostname or ""):
        return Note(url, "Nobody else reaches this machine by that name.")
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/healthz", allow_redirects=False) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLError) as e:
        raise AlertingError(
            f"The certificate of {url} is not accepted.", remedy="Have the proxy's renewed."
        ) from e
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Note(f"{url} does not answer from here", "See that it does from elsewhere.")
    if status != 200:
        raise AlertingError(
            f"{url}/healthz answers {status}: that is not our API.",
            remedy="Correct ALERTING_PUBLIC_URL, or what the proxy there passes on.",
        )
    return f"{url} answers"

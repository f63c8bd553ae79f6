"""A whole system for faults, in a folder of its own, with proxies where they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp

from alerting.embedded import engines
from alerting.embedded.carriers import SANDBOX_ACCOUNT, SANDBOX_TOKEN
from alerting.embedded.child import children
from alerting.embedded.engines import Engines
from alerting.embedded.processes import processes
from alerting.embedded.supervisor import Spec, Supervisor
from alerting.errors import Unavailable
from alerting.settings import Settings
from alerting.store.migrate import migrate
from lab.chaos.plan import GROUPS
from lab.chaos.proxy import Proxy
from lab.chaos.standby import Pair
from lab.chaos.watch import ProcessLines

#: How long a process may take to come back before the run is given up.
READY_S = 60.0

#: Needed to know when a cancel was committed.
_POSTGRES = {"track_commit_timestamp": "on"}

#: Servers that a proxy can be placed in front of.
PLACES = ("redis", "database", "http", "smtp")


@dataclass(frozen=True, slots=True)
class System:
    """A running system. `config` has the real addresses, without proxies."""

    config: Settings
    engines: Engines
    supervisor: Supervisor
    proxies: Mapping[str, Proxy]
    lines: ProcessLines
    second: Settings | None
    pair: Pair | None

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is from outside; where a standby may take over, through the proxy."""
        return self.engines.database_url if self.pair is None else _through(self.proxies)

    @property
    def carriers(self) -> list[Settings]:
        """The carriers of each stub company, the preferred first."""
        return [self.config, *([self.second] if self.second else [])]

    @property
    def push_base(self) -> str:
        """The push service's address for workers."""
        port = self.proxies["http"].port if "http" in self.proxies else self.config.sandbox_port
        return f"http://{self.config.local_host}:{port}"

    async def pid(self, name: str) -> int:
        """The id of a process, or of the child `group/number`. Waits for one that is restarting."""
        group, _, number = name.partition("/")
        async with _in_time(f"{name} to run"):
            while True:
                pid = self.supervisor.pid(group)
                if pid is not None and not number:
                    return pid
                found = children(pid) if pid is not None else []
                if len(found) >= self.config.workers:
                    return found[int(number) % len(found)]
                await asyncio.sleep(0.05)

    async def ready(self) -> None:
        """Return when API and carriers answer and every group has its children."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            api = f"http://{self.config.local_host}:{self.config.port}/readyz"
            for url in (*(f"{sandbox_url(c)}/healthz" for c in self.carriers), api):
                async with _in_time(url):
                    while not await _answers(session, url):  # noqa: ASYNC110 - it has to be asked
                        await asyncio.sleep(0.1)
        for group in GROUPS:
            await self.pid(f"{group}/0")


def sandbox_url(carriers: Settings) -> str:
    """The carriers' control address."""
    return f"http://{carriers.local_host}:{carriers.sandbox_port}/sandbox"


@asynccontextmanager
async def running(
    config: Settings,
    *,
    proxied: Collection[str] = (),
    shifts: Path | None = None,
    second: Settings | None = None,
    standby: bool = False,
) -> AsyncIterator[System]:
    """A system that is started and ready inside the block; ended, engines last, after it.

    Args:
        proxied: Of PLACES, those with a proxy before them.
        shifts: The folder whose files put workers' clocks forward, None for clocks that are right.
        second: Of a second company for SMS and mail, with its own folder and ports; workers then go
            by their settings for real carriers.
        standby: PostgreSQL has one, and `database` is proxied.
    """
    async with AsyncExitStack() as stack:
        started = stack.enter_context(engines.start(config.var, postgres_config=_POSTGRES))
        await asyncio.to_thread(migrate, started.database_url)
        pair = None
        if standby and started.postgres is not None:
            pair = await asyncio.to_thread(Pair, started.postgres, config.var / "pair", _POSTGRES)
            stack.callback(pair.stop)
        proxies = {}
        for place in proxied:
            proxies[place] = Proxy(_server(place, config, started))
            await proxies[place].open()
            stack.push_async_callback(proxies[place].close)
        lines = ProcessLines(config.var / "processes.log")
        stack.callback(lines.close)
        supervisor = await stack.enter_async_context(
            Supervisor(
                _specs(config, started, proxies, shifts, second),
                quiet=True,
                on_line=lines.take,
                backoff_max_s=1.0,
            )
        )
        system = System(config, started, supervisor, proxies, lines, second, pair)
        await system.ready()
        yield system


def _server(place: str, config: Settings, started: Engines) -> tuple[str, int] | Path:
    match place:
        case "redis":
            return Path(unquote(urlsplit(started.redis_url).path))
        case "database":
            return socket_of(started.database_url)
        case "http":
            return config.local_host, config.sandbox_port
        case _:
            return config.local_host, config.sandbox_smtp_port


def socket_of(database_url: str) -> Path:
    """The unix socket of an embedded PostgreSQL."""
    return Path(parse_qs(urlsplit(database_url).query)["host"][0]) / ".s.PGSQL.5432"


def _through(proxies: Mapping[str, Proxy]) -> str:
    port = proxies["database"].port
    return f"postgresql://alerting@127.0.0.1:{port}/alerting?sslmode=disable"


def _specs(
    config: Settings,
    started: Engines,
    proxies: Mapping[str, Proxy],
    shifts: Path | None,
    second: Settings | None,
) -> list[Spec]:
    """Carriers and API at their own addresses; everything connects through the proxies."""
    database_url, redis_url = started.database_url, started.redis_url
    if "database" in proxies:
        database_url = _through(proxies)
    if "redis" in proxies:
        redis_url = f"redis://127.0.0.1:{proxies['redis'].port}/0"
    ports = {
        setting: proxies[place].port
        for setting, place in (("sandbox_port", "http"), ("sandbox_smtp_port", "smtp"))
        if place in proxies
    }
    seen = config.model_copy(update=ports)
    specs = processes(seen, database_url, redis_url, groups=GROUPS)
    found = []
    for spec in specs:
        if spec.name == "carriers":
            spec = replace(spec, env=config.to_environment())
            if second is not None:
                found.append(replace(spec, name="carriers-2", env=second.to_environment()))
        elif spec.name in GROUPS and second is not None:
            spec = replace(spec, env={**spec.env, **_two_companies(seen, second)})
        elif shifts is not None and spec.name in GROUPS:
            python, *words = spec.command
            shifted = (python, "-m", "lab.chaos.shifted", str(shifts / spec.name), *words)
            spec = replace(spec, command=shifted)
        # At the end nothing is left to be drained, and what hangs would hang for long.
        found.append(replace(spec, stop_s=8))
    return found


def _two_companies(first: Settings, second: Settings) -> dict[str, str]:
    """The settings that make workers call both through their real adapters."""
    found = {"ALERTING_CARRIERS": "real"}
    for n, company in (("", first), ("2", second)):
        found |= {
            f"ALERTING_TWILIO{n}_BASE_URL": f"http://{company.local_host}:{company.sandbox_port}",
            f"ALERTING_TWILIO{n}_ACCOUNT_SID": SANDBOX_ACCOUNT,
            f"ALERTING_TWILIO{n}_AUTH_TOKEN": SANDBOX_TOKEN,
            f"ALERTING_TWILIO{n}_FROM": "+447700900000",
            f"ALERTING_SMTP{n}_HOST": company.local_host,
            f"ALERTING_SMTP{n}_PORT": str(company.sandbox_smtp_port),
            f"ALERTING_SMTP{n}_TLS": "none",
        }
    return found


@asynccontextmanager
async def _in_time(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(READY_S):
            yield
    except TimeoutError as e:
        raise Unavailable(f"Waited {READY_S:g} s in vain for {what}.") from e


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False

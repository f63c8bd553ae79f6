"""Many alerts at once, against the sandbox's carriers: whether one that is slow, silent or paced
holds up others, and how soon each of very many alerts begins.

What is judged is when the carriers took each message, by their own logs. Each row is beside the
same alert alone.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from alerting.audience.synthetic import SyntheticCitizen, store
from alerting.bootstrap import Runtime
from alerting.demo.run import demo_settings
from alerting.dispatch.evaluation import policies
from alerting.dispatch.intake.submit import submit
from alerting.domain.alert import Severity
from alerting.domain.principal import internal
from alerting.embedded.carriers import PUSH_SEED, subscription
from alerting.errors import WorkFailed
from alerting.settings import Settings, load_settings
from lab.bench.population import District, districts
from lab.chaos.system import System, running, sandbox_url
from lab.chaos.watch import CarrierLogs, Line

#: Awake and without a second person's word; SMS at a provider's usual rate for one sender.
_POLICY = """
[quiet]
from = "00:00"
to = "00:00"
[storm]
audience_max = 100000000
at_least = 10000
"""
_PACED = f"{_POLICY}[pace.sms]\nper_second = {{per_second}}\n"

_SILENT_MS = 600_000
_MOST_S = 120.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """people: of one alert by one channel. alerts: at once, each to `few` people. rounds: of the
    rows whose times are compared. per_second: of paced SMS."""

    people: int
    alerts: int
    few: int
    rounds: int
    per_second: int


FULL = Sizes(900, 200, 5, 3, 15)


@dataclass(frozen=True, slots=True)
class Beside:
    """Seconds to the last message of the same alert, alone and beside what is slow, by round."""

    what: str
    alone_s: list[float]
    beside_s: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(self.beside_s) / statistics.median(self.alone_s)


@dataclass(frozen=True, slots=True)
class Many:
    """beside: rows of alerts beside slow ones. first_s: of the alerts at once, seconds from each
    one's submission to its first message."""

    beside: list[Beside]
    first_s: list[float]


def measure(sizes: Sizes, say: Callable[[str], None]) -> Many:
    """Raises WorkFailed where a message is missing or doubled."""
    return asyncio.run(_measure(sizes, say))


async def _measure(sizes: Sizes, say: Callable[[str], None]) -> Many:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        own = load_settings().model_copy(update={"var": Path(name), "log_level": "WARNING"})
        # Small alerts have several chunks too, and nothing goes by another channel meanwhile.
        config = demo_settings(own).model_copy(
            update={
                "chunk_size": 100,
                "receipt_severe_s": 0,
                "receipt_extreme_s": 0,
                "in_doubt_hold_s": 1,
            }
        )
        async with running(config) as system, Runtime.open(_seen(system)) as runtime:
            return await _Stand(system, runtime, sizes, say).run()


def _seen(system: System) -> Settings:
    engines = system.engines
    known = {"database_url": engines.database_url, "redis_url": engines.redis_url}
    return system.config.model_copy(update=known)


class _Stand:
    def __init__(
        self, system: System, runtime: Runtime, sizes: Sizes, say: Callable[[str], None]
    ) -> None:
        self._system, self._runtime, self._sizes, self._say = system, runtime, sizes, say
        self._logs = CarrierLogs([system.config.var], system.push_base)
        self._no = 0
        #: What the carriers took, by channel and district, of the first `_sorted` lines.
        self._times: dict[tuple[str, int], list[datetime]] = defaultdict(list)
        self._sorted = 0

    async def run(self) -> Many:
        await self._policy(_POLICY)
        rows = [
            await self._paced("push beside paced SMS of the same alert", same=True),
            await self._paced("push beside paced SMS of two other alerts", same=False),
            await self._silent(),
        ]
        return Many(rows, await self._at_once())

    async def _paced(self, what: str, *, same: bool) -> Beside:
        n, found = self._sizes.people, Beside(what, [], [])
        for _ in range(self._sizes.rounds):
            self._say(f"  {what} …")
            alone = await self._people({"push": n})
            found.alone_s.append(await self._last("push", await self._send(alone), n))
            await self._policy(_PACED.format(per_second=self._sizes.per_second))
            if same:
                district = await self._people({"push": n, "sms": n})
            else:
                for _ in range(2):
                    await self._send(await self._people({"sms": n}))
                district = await self._people({"push": n})
            found.beside_s.append(await self._last("push", await self._send(district), n))
            await self._policy(_POLICY)
            await self._rest()
        return found

    async def _silent(self) -> Beside:
        n, found = self._sizes.people, Beside("SMS beside a silent mail relay", [], [])
        for _ in range(self._sizes.rounds):
            self._say(f"  {found.what} …")
            alone = await self._people({"sms": n})
            found.alone_s.append(await self._last("sms", await self._send(alone), n))
            await self._faults({"email": {"latency_ms": _SILENT_MS}})
            both = await self._people({"email": n, "sms": n})
            found.beside_s.append(await self._last("sms", await self._send(both), n))
            await self._faults(None)
            await self._rest()
        return found

    async def _at_once(self) -> list[float]:
        sizes = self._sizes
        self._say(f"  {sizes.alerts} alerts at once …")
        made = [self._made({"sms": sizes.few}) for _ in range(sizes.alerts)]
        await self._store([person for _, people in made for person in people])
        places = [district for district, _ in made]
        marks = [await self._send(place) for place in places]
        return [await self._first("sms", mark, sizes.few) for mark in marks]

    async def _people(self, by_channel: Mapping[str, int]) -> District:
        """A new district with this many people for each channel; each person has one channel."""
        district, people = self._made(by_channel)
        await self._store(people)
        return district

    async def _store(self, people: list[SyntheticCitizen]) -> None:
        async with self._runtime.db.begin() as connection:
            await store(connection, people)

    def _made(self, by_channel: Mapping[str, int]) -> tuple[District, list[SyntheticCitizen]]:
        self._no += 1
        district = districts([0] * self._no + [sum(by_channel.values())])[-1]
        lats, lons = district.homes()
        kinds = [channel for channel, n in by_channel.items() for _ in range(n)]
        return district, [
            self._person(f"{self._no}-{i}", channel, lats[i % len(lats)], lons[i % len(lons)])
            for i, channel in enumerate(kinds)
        ]

    def _person(self, name: str, channel: str, lat: float, lon: float) -> SyntheticCitizen:
        keys: Mapping[str, str] = {}
        match channel:
            case "push":
                endpoint, keys = subscription(self._system.push_base, PUSH_SEED, name)
            case "sms":
                district, _, no = name.partition("-")
                endpoint = f"+999{int(district):04}{int(no):05}"
            case _:
                endpoint = f"{name}@example.org"
        return SyntheticCitizen(name, "en", lat, lon, (channel,), {channel: endpoint}, keys)

    async def _send(self, district: District) -> _Mark:
        at_s = time.time()
        runtime = self._runtime
        await submit(
            runtime.db,
            district.alert(Severity.SEVERE, str(district.no)),
            principal=internal("bench"),
            now=True,
            clock=runtime.clock,
            notifier=runtime.notifier,
        )
        return _Mark(district.no, at_s)

    async def _last(self, channel: str, mark: _Mark, count: int) -> float:
        return (await self._taken(channel, mark, count))[-1]

    async def _first(self, channel: str, mark: _Mark, count: int) -> float:
        return (await self._taken(channel, mark, count))[0]

    async def _taken(self, channel: str, mark: _Mark, count: int) -> list[float]:
        """When each of the messages was taken, in seconds from the submission."""
        end = time.monotonic() + _MOST_S
        while True:
            self._logs.read_on()
            found = self._of(channel, mark.district)
            if len(found) >= count:
                break
            if time.monotonic() > end:
                raise WorkFailed(f"{count - len(found):,} of {count:,} {channel} did not come.")
            await asyncio.sleep(0.02)
        if len(found) > count:
            raise WorkFailed(f"{len(found) - count:,} of {count:,} {channel} came twice.")
        return sorted(at.timestamp() - mark.at_s for at in found)

    def _of(self, channel: str, district: int) -> list[datetime]:
        # Each line once: all anew at each look took the processor from what is measured.
        for line in self._logs.lines[self._sorted :]:
            self._times[line.channel, _district(line)].append(line.at)
        self._sorted = len(self._logs.lines)
        return self._times[channel, district]

    async def _policy(self, toml: str) -> None:
        async with self._runtime.db.begin() as connection:
            await policies.set_live(connection, toml, by=internal("bench-setup"))
        # Workers look at the policy again after a second.
        await asyncio.sleep(1.5)

    async def _faults(self, faults: Mapping[str, Any] | None) -> None:
        url = f"{sandbox_url(self._system.config)}/faults"
        async with aiohttp.ClientSession() as session:
            if faults is None:
                await session.delete(url)
            else:
                await session.post(url, json=dict(faults))

    async def _rest(self) -> None:
        """Call back what is left, and see everything come to rest."""
        async with self._runtime.db.begin() as connection:
            await connection.exec_driver_sql(
                "update alert set state = 'expired', expires_at = now()"
                " where state in ('accepted','delivering')"
            )
        end = time.monotonic() + _MOST_S
        while True:
            async with self._runtime.db.begin() as connection:
                busy = await connection.exec_driver_sql(
                    "select count(*) from outbox where state in ('ready','leased')"
                )
                if not busy.scalar_one():
                    return
                await connection.exec_driver_sql("update outbox set not_before = now()")
            if time.monotonic() > end:
                raise WorkFailed("What was left of an alert did not come to rest.")
            await asyncio.sleep(0.2)


@dataclass(frozen=True, slots=True)
class _Mark:
    """An alert: the number of its district, and when it was submitted."""

    district: int
    at_s: float


def _district(line: Line) -> int:
    """The number of the district that a message went to, 0 where it went to nobody of ours."""
    match line.channel:
        case "sms":
            return int(line.to[4:8]) if line.to.startswith("+999") else 0
        case "push":
            return int(line.to.rpartition("/")[2].partition("-")[0])
        case _:
            return int(line.to.partition("-")[0])

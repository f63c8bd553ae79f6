"""Several hosts on one database and one Redis: as fast together as apart, one rate, nothing twice.

Each host is a network namespace with a home and a folder of its own, so that whatever a worker, the
API or the scheduler kept to itself would be missed by the others. On one machine they also share
its processors, so throughput shows that hosts do not hinder one another, not that more of
them do more.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from alerting.bootstrap import Runtime
from alerting.dispatch.evaluation import policies
from alerting.dispatch.intake.submit import submit
from alerting.domain.alert import Severity
from alerting.domain.principal import internal
from alerting.domain.segments import measure
from alerting.embedded.processes import GROUPS
from alerting.embedded.supervisor import Spec, Supervisor
from alerting.errors import WorkFailed
from alerting.settings import Settings
from alerting.store.migrate import migrate
from lab.bench.overtake.subject import read_ledger
from lab.bench.population import District, districts, settle_down
from lab.bench.report import Options, Report, Table, Target
from lab.bench.scale.api import by_two_apis
from lab.bench.stubs.clocked import Taken, clocked
from lab.bench.stubs.hosts import Host, Shared, hosts, shared
from lab.bench.stubs.twilio import settings_for

HOSTS = 3
_LANES = ",".join(GROUPS.values())

#: Left out of a shaped run at each end: what starts and what runs dry.
_EDGE_S = 1.0

_MOST_S = 600.0

#: Of the example's text, about; it only decides how long the shaped run is.
_SEGMENTS = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """citizens: of each alert at full speed. rate: SMS segments a second of the shaped sender, who
    sends for about `shaped_s`."""

    citizens: int
    rounds: int
    rate: float
    shaped_s: float


FULL = Sizes(60_000, 3, 1_200, 20)
QUICK = Sizes(400, 1, 150, 3)


@dataclass(frozen=True, slots=True)
class Sent:
    """What one run of hosts did.

    Attributes:
        segments: Of each message; all are the same.
        apart: By what.
    """

    seconds: float
    taken: list[Taken]
    segments: int
    apart: str


@dataclass(frozen=True, slots=True)
class Shape:
    """How a sender's rate was kept and used, in percent."""

    over: float
    used: float


def run(options: Options) -> Report:
    """Measure. Takes about four minutes; half of one when quick.

    Raises WorkFailed where a message is missing or doubled, in the provider's log or in the
    ledger, or where one host does not know what another has taken.
    """
    sizes = QUICK if options.quick else FULL
    rates: dict[int, list[float]] = {1: [], HOSTS: []}
    for n in range(sizes.rounds):
        for count in rates:
            options.say(f"Round {n + 1} of {sizes.rounds}: {sizes.citizens:,} by {count} …")
            done = asyncio.run(send(count, sizes.citizens))
            rates[count].append(len(done.taken) / done.seconds)
    options.say(f"{HOSTS} hosts, one sender of {sizes.rate:,.0f} segments a second …")
    shaped = asyncio.run(send(HOSTS, 0, rate=sizes.rate, for_s=sizes.shaped_s))
    return _report(sizes, rates, shaped)


async def send(count: int, citizens: int, *, rate: float = 0.0, for_s: float = 0.0) -> Sent:
    """One alert sent by this many hosts; with a rate, to as many citizens as the rate allows."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with hosts(count, folder) as everywhere:
            gateways = dict.fromkeys(["127.0.0.1", *(h.gateway for h in everywhere)])
            with clocked(folder / "nginx", tuple(gateways)) as stub:
                settings = _settings(stub.url)
                with shared(folder / "shared", everywhere, settings) as common:
                    await asyncio.to_thread(migrate, common.settings.database_url)
                    (place,) = districts([citizens or int(rate * for_s / _SEGMENTS)])
                    seconds, ledger = await _on(common, everywhere, place, rate)
            taken = stub.taken()
            judge(place, taken, ledger)
            segments = {measure(words).count for words in stub.texts()}
    if len(segments) != 1:
        raise WorkFailed(f"Messages of one alert had {segments} segments.")
    apart = "process groups (network namespaces need root and `ip`)"
    if everywhere[0].namespace is not None:
        apart = "network namespaces"
    return Sent(seconds, taken, segments.pop(), apart)


def _settings(url: str) -> Settings:
    return settings_for(url, log_level="WARNING", workers=1)


async def _on(
    common: Shared, everywhere: Sequence[Host], place: District, rate: float
) -> tuple[float, Counter[int]]:
    """Send to a district; the seconds until the ledger had everything, and what else was
    measured."""
    specs = [h.workers(_LANES, common.seen_from(h)) for h in everywhere]
    apis: list[Spec] = []
    if len(everywhere) > 2 and rate:
        apis = [h.alerting("serve", common.seen_from(h)) for h in everywhere[:2]]
        specs += [*apis, everywhere[2].alerting("scheduler", common.seen_from(everywhere[2]))]
    async with Runtime.open(common.settings) as runtime, Supervisor(specs, quiet=True):
        async with runtime.db.begin(patient=True) as connection:
            if rate:
                toml = f"[pace.sms]\nper_second = {rate}\n"
                await policies.set_live(connection, toml, by=internal("bench-setup"))
            await settle_down(connection, [place])
        await _until(
            runtime,
            "select count(*) >= :n from pg_locks where locktype = 'advisory' and objsubid = 2",
            n=len(everywhere) * common.settings.workers,
        )
        start = time.perf_counter()
        alert = place.alert(Severity.SEVERE, f"scale-{len(everywhere)}")
        if apis:
            alert_id = await by_two_apis(runtime, everywhere[:2], alert)
        else:
            alert_id = await _submit(runtime, alert)
        await _until(runtime, "select state = 'completed' from alert where id = :id", id=alert_id)
        seconds = time.perf_counter() - start
        ledger = await read_ledger(runtime)
        if ledger.doubtful:
            raise WorkFailed(f"{ledger.doubtful:,} deliveries may have come twice.")
        return seconds, ledger.accepted


async def _submit(runtime: Runtime, alert: bytes) -> UUID:
    submitted = await submit(
        runtime.db,
        alert,
        principal=internal("bench"),
        now=True,
        clock=runtime.clock,
        notifier=runtime.notifier,
    )
    return submitted.alert_id


async def _until(runtime: Runtime, question: str, **values: Any) -> None:
    end = time.monotonic() + _MOST_S
    while True:
        async with runtime.db.begin() as connection:
            if await connection.scalar(text(question), values):
                return
        if time.monotonic() > end:
            raise WorkFailed(f"Waited {_MOST_S:g} s in vain: {question}")
        await asyncio.sleep(0.1)


def judge(place: District, taken: Sequence[Taken], ledger: Counter[int]) -> None:
    """Everybody once, in the provider's log and in the ledger."""
    log, once = Counter(t.number for t in taken), Counter(place.numbers)
    if log != once or ledger != once:
        raise WorkFailed(
            f"Of {place.count:,} the provider took {len(log):,} in {len(taken):,} messages, and "
            f"the ledger has {len(ledger):,}."
        )


def shape(taken: Sequence[Taken], segments: int, rate: float) -> Shape:
    """The most segments in any second, wherever it begins, and what was used between the edges."""
    times = [t.at_s for t in taken]
    most = first = 0
    for n, at in enumerate(times):
        while times[first] <= at - 1:
            first += 1
        most = max(most, n - first + 1)
    begin, end = times[0] + _EDGE_S, times[-1] - _EDGE_S
    steady = sum(begin <= at < end for at in times)
    used = steady * segments / (end - begin) / rate if end > begin else 0.0
    return Shape(100 * (most * segments / rate - 1), 100 * used)


def _report(sizes: Sizes, rates: dict[int, list[float]], last: Sent) -> Report:
    shaped = shape(last.taken, last.segments, sizes.rate)
    one, several = (statistics.median(rates[n]) for n in (1, HOSTS))
    rows: list[tuple[str, ...]] = [
        (
            f"{n} host{'s' if n > 1 else ''}",
            f"{statistics.median(found):,.0f}",
            f"{min(found):,.0f}–{max(found):,.0f}",
            f"{statistics.median(found) / one:.2f}×",
        )
        for n, found in rates.items()
    ]
    return Report(
        tables=[
            Table(
                f"An alert to {sizes.citizens:,} by SMS, workers on one host and on {HOSTS}",
                ("workers on", "messages a second", "rounds", "beside one"),
                rows,
            ),
            Table(
                f"One sender of {sizes.rate:,.0f} SMS segments a second, {HOSTS} hosts",
                ("", "over in the worst second", "used"),
                [("by the provider's log", f"{shaped.over:+.1f} %", f"{shaped.used:.1f} %")],
            ),
        ],
        targets=[
            Target("over the rate in any second", 1, shaped.over, at_most=True, unit="%"),
            Target("of the rate used", 95, shaped.used, unit="%"),
            Target(f"{HOSTS} hosts beside one, on the same processors", 0.9, several / one),
        ],
        figures={
            "per_second": {str(n): found for n, found in rates.items()},
            "shaping": {"over_percent": shaped.over, "used_percent": shaped.used},
            "apart": last.apart,
        },
        notes=[
            f"Hosts are {last.apart}, each with a home, a working folder and a `var` of its own "
            "and one worker process for all lanes.",
            "In the shaped run the API runs on two of them and the scheduler on the third: an "
            "alert taken by one API is known to the other, and repeating it there changes nothing.",
        ],
    )

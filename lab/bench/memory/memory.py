"""The cost of a message, from ten thousand citizens to a million: processor, bytes, memory.

One system, one alert after the other, each larger than the last; all on this machine, with nginx as
the stub of Twilio. The baseline is the smallest alert.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alerting.bootstrap import Runtime
from alerting.domain.alert import Severity
from alerting.errors import WorkFailed
from alerting.settings import Settings
from lab.bench import costs
from lab.bench.costs import Costs
from lab.bench.memory import statements
from lab.bench.population import District, districts, hold_nothing_up, settle_down
from lab.bench.report import Options, Report, Table, Target
from lab.bench.statements import Counted
from lab.bench.stubs.twilio import TwilioStub, settings_for, twilio
from lab.bench.whole_way import accepted, machine, record_outcomes, warm

FULL = (10_000, 10_000, 10_000, 100_000, 1_000_000)
QUICK = (300, 600)

#: Of the alert whose statements are counted, and of the one before it.
FULL_COUNTED, QUICK_COUNTED = 10_000, 300

#: A worker process stays below this, whatever the audience.
WORKER_MB = 200

_TO = re.compile(r"(?:^|&)To=%2B999(\d+)", re.M)


@dataclass(frozen=True, slots=True)
class Sent:
    """One alert: its number of citizens, its seconds and its cost."""

    citizens: int
    seconds: float
    costs: Costs
    worker_mb: float

    def per_thousand(self, value: float) -> float:
        return value * 1000 / self.citizens

    @property
    def cpu_s(self) -> float:
        return sum(s for name, s in self.costs.cpu_s.items() if name != "stand-in")


def run(options: Options) -> Report:
    """Send all alerts.

    Raises WorkFailed where a message is missing or doubled, in the provider's log or in the ledger:
    no figure is valid then.
    """
    sizes = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with twilio(folder / "nginx") as stub:
            sent = asyncio.run(_send(_settings(folder, stub), districts(sizes), options))
        _judge(stub, sum(sizes))
    citizens = QUICK_COUNTED if options.quick else FULL_COUNTED
    options.say(f"To {citizens:,} twice, the statements of the second counted …")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with twilio(folder / "nginx") as stub:
            counted = asyncio.run(
                statements.count(_settings(folder, stub), districts([citizens] * 2))
            )
        _judge(stub, 2 * citizens)
    return _report(sent, counted, citizens)


def _settings(folder: Path, stub: TwilioStub) -> Settings:
    return settings_for(stub.url, var=folder / "var")


async def _send(settings: Settings, everywhere: Sequence[District], options: Options) -> list[Sent]:
    sent: list[Sent] = []
    async with (
        machine(settings, lanes="extreme,severe,routine,drill") as config,
        Runtime.open(config) as runtime,
    ):
        async with runtime.db.begin(patient=True) as connection:
            await settle_down(connection, everywhere)
            await hold_nothing_up(connection)
        await warm(runtime)
        for district in everywhere:
            options.say(f"To {district.count:,} citizens …")
            data = district.alert(Severity.SEVERE, f"size-{district.no}")
            urls = config.database_url, config.redis_url
            before = await asyncio.to_thread(costs.read, *urls)
            start = time.perf_counter()
            alert_id = await record_outcomes(runtime, data)
            seconds = time.perf_counter() - start
            after = await asyncio.to_thread(costs.read, *urls)
            taken = await accepted(runtime, alert_id)
            if taken != district.count:
                raise WorkFailed(f"The ledger has {taken:,} accepted of {district.count:,}.")
            peak_mb = costs.worker_peak_mb()
            sent.append(Sent(district.count, seconds, after.since(before), peak_mb))
    return sent


def _judge(stub: TwilioStub, expected: int) -> None:
    """Raises WorkFailed unless every number is once in the provider's log."""
    taken = Counter(map(int, _TO.findall(stub.log.read_text(encoding="ascii"))))
    if taken.keys() != set(range(1, expected + 1)) or taken.total() != expected:
        raise WorkFailed(f"The provider took {len(taken):,} of {expected:,}, not each once.")


def _report(sent: Sequence[Sent], counted: Counted, citizens: int) -> Report:
    small = [s for s in sent if s.citizens == sent[0].citizens]
    cpu_s = statistics.median(s.per_thousand(s.cpu_s) for s in small)
    last = sent[-1]
    grown = last.per_thousand(last.cpu_s) / cpu_s
    return Report(
        tables=[
            Table("What 1,000 deliveries cost", _COLUMNS, [_row(s) for s in sent]),
            Table("Processor seconds of 1,000 deliveries", _CPU, [_cpu_row(s) for s in sent]),
            statements.table(counted, citizens),
        ],
        targets=[
            Target("processor at the largest beside the smallest", 1.1, grown, True, "×"),
            Target("memory of a worker process", WORKER_MB, last.worker_mb, True, "MB"),
        ],
        figures={
            "alerts": [_figures(s) for s in sent],
            "statements": statements.to_json(counted, citizens),
        },
        notes=[
            "Bytes of the log and the tables are PostgreSQL's. The first alert also warms the "
            "workers up. Memory is the most any worker process had had resident by then.",
            statements.note(counted, citizens),
        ],
    )


_COLUMNS = ("citizens", "seconds", "a second", "processor s", "log kB", "tables kB", "commits",
            "Redis kB", "Redis commands", "worker MB")  # fmt: skip
_CPU = ("citizens", "workers", "PostgreSQL", "Redis", "stand-in")


def _row(s: Sent) -> tuple[str, ...]:
    c, per = s.costs, s.per_thousand
    return (
        f"{s.citizens:,}",
        f"{s.seconds:,.1f}",
        f"{s.citizens / s.seconds:,.0f}",
        f"{per(s.cpu_s):.3f}",
        f"{per(c.wal_bytes) / 1000:,.0f}",
        f"{per(c.table_bytes) / 1000:,.0f}",
        f"{per(c.commits):,.1f}",
        f"{per(c.redis_bytes) / 1000:,.1f}",
        f"{per(c.commands):,.1f}",
        f"{s.worker_mb:,.0f}",
    )


def _cpu_row(s: Sent) -> tuple[str, ...]:
    return (
        f"{s.citizens:,}",
        *(f"{s.per_thousand(s.costs.cpu_s.get(name, 0.0)):.3f}" for name in _CPU[1:]),
    )


def _figures(s: Sent) -> dict[str, object]:
    return {
        "citizens": s.citizens,
        "seconds": s.seconds,
        "cpu_s": s.costs.cpu_s,
        "wal_bytes": s.costs.wal_bytes,
        "table_bytes": s.costs.table_bytes,
        "redis_bytes": s.costs.redis_bytes,
        "commits": s.costs.commits,
        "redis_commands": s.costs.commands,
        "worker_mb": s.worker_mb,
    }

"""What ten years of alerts do to the live path.

A round of maintenance with a night's digests to millions, the status of an alert, and a submission,
beside the same in a database that is almost empty.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from alerting import examples
from alerting.cap import read, to_xml
from alerting.clock import SystemClock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.intake.submit import submit
from alerting.dispatch.status import status
from alerting.dispatch.workers.duty import Done, Duty
from alerting.dispatch.workers.maintenance import Maintenance
from alerting.domain.principal import internal
from alerting.embedded import engines
from alerting.errors import WorkFailed
from alerting.settings import Settings
from alerting.store.db import Database
from alerting.store.migrate import migrate
from lab.bench.growth import fill
from lab.bench.growth.fill import Size
from lab.bench.report import Options, Report, Table, Target

FULL = Size(alerts=1_000_000, running=1_000_000, due=4_000_000)
SMALL = Size(alerts=1_000, running=1_000, due=1_000)

#: Of the disk's room at most so much is taken.
_ROOM = 0.6

_LOOKS = 20


@dataclass(slots=True)
class Measured:
    """What was seen of one database. steps_s: what each transaction of a duty took."""

    size: Size
    fill_s: float = 0.0
    steps_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    digests_s: float = 0.0
    settle_s: float = 0.0
    status_s: list[float] = field(default_factory=list)
    submit_s: list[float] = field(default_factory=list)

    @property
    def longest_s(self) -> float:
        return max(s for steps in self.steps_s.values() for s in steps)


def run(options: Options) -> Report:
    """Fill both, then measure. Raises WorkFailed where a digest is missing or an item left: then no
    figure is worth anything."""
    notes = []
    share = 0.001 if options.quick else options.share
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        fits = shutil.disk_usage(name).free * _ROOM / (FULL.deliveries * fill.BYTES)
        if share > fits:
            notes.append(f"The disk has room for {fits:.0%} of the size that was asked for.")
            share = fits
        found = [
            _measure(Path(name) / str(n), size, options)
            for n, size in enumerate([SMALL, FULL.of(share)])
        ]
    return _report(found, share, notes)


def _measure(folder: Path, size: Size, options: Options) -> Measured:
    found = Measured(size)
    with engines.start(folder) as running:
        migrate(running.database_url)
        with psycopg.connect(running.database_url, autocommit=True) as db:
            options.say(f"Filling {size.alerts:,} alerts and {size.deliveries:,} deliveries …")
            start = time.perf_counter()
            alert_id = fill.fill(db, size)
            found.fill_s = time.perf_counter() - start
            options.say("Maintaining …")
            asyncio.run(_keep(found, running.database_url, running.redis_url, db, alert_id))
            left = db.execute("select count(*) from digest_item").fetchone()
            sent = db.execute(
                "select sum(size) from outbox where digest and state = 'done'"
            ).fetchone()
            if (left, sent) != ((0,), (size.due,)):
                raise WorkFailed(
                    f"{sent} of {size.due:,} digests were made, {left} items are left."
                )
    return found


async def _keep(
    found: Measured, url: str, redis_url: str, looking: psycopg.Connection[Any], alert_id: UUID
) -> None:
    db, notifier = Database(url), WorkNotifier(redis_url)
    maintenance = Maintenance(db, SystemClock(), notifier, Settings())
    for duty in maintenance.duties.values():
        duty.step = _timed(found, duty)
    try:
        start = time.perf_counter()
        await maintenance.run_once()
        found.digests_s = time.perf_counter() - start
        await asyncio.to_thread(fill.send, looking)
        start = time.perf_counter()
        await maintenance.run_once()
        found.settle_s = time.perf_counter() - start
        # What is left is a round with nothing to do.
        await maintenance.run_once()
        flood = read(examples.FLOOD.read_bytes()).alerts[0]
        for _ in range(_LOOKS):
            with _seconds(found.status_s):
                async with db.begin() as connection:
                    await status(connection, alert_id)
            data = to_xml(flood).replace(flood.identifier.encode(), str(uuid4()).encode())
            with _seconds(found.submit_s):
                await submit(
                    db,
                    data,
                    principal=internal("bench"),
                    clock=SystemClock(),
                    notifier=notifier,
                    now=True,
                )
    finally:
        notifier.close()
        await db.close()


def _timed(found: Measured, duty: Duty) -> Callable[[Any, int], Awaitable[Done]]:
    step = duty.step

    async def timed(connection: Any, limit: int) -> Done:
        with _seconds(found.steps_s[duty.name]):
            return await step(connection, limit)

    return timed


@contextmanager
def _seconds(into: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


def _report(found: list[Measured], share: float, notes: list[str]) -> Report:
    small, large = found
    duties = [
        (name, *(f"{len(m.steps_s[name]):,} · {_ms(max(m.steps_s[name]))}" for m in found))
        for name in large.steps_s
    ]
    return Report(
        tables=[
            Table("Transactions of maintenance: how many, and the longest in ms", (
                "duty", *(f"{m.size.deliveries:,} deliveries" for m in found)), duties),
            Table("What else it takes", ("what", "small", "large"), [
                ("alerts that are over", *(f"{m.size.alerts:,}" for m in found)),
                ("digests due", *(f"{m.size.due:,}" for m in found)),
                ("digests made a second", *(f"{m.size.due / m.digests_s:,.0f}" for m in found)),
                ("items settled a second", *(f"{m.size.due / m.settle_s:,.0f}" for m in found)),
                ("status, median ms", *(_ms(statistics.median(m.status_s)) for m in found)),
                ("submission, median ms", *(_ms(statistics.median(m.submit_s)) for m in found)),
                ("filling s", *(f"{m.fill_s:,.0f}" for m in found)),
            ]),
        ],
        targets=[
            Target("longest transaction of maintenance", 0.2, large.longest_s, True, "s"),
            Target("status of an alert", 50.0, max(large.status_s) * 1000, True, "ms"),
            Target("digests of one process", 5000, large.size.due / large.digests_s, False, "a s"),
        ],
        figures={"share": share, "small": _figures(small), "large": _figures(large)},
        notes=[
            *notes,
            f"{share:.2%} of {FULL.alerts:,} alerts, {FULL.deliveries:,} deliveries and "
            f"{FULL.due:,} digests. A transaction is measured without its lock and commit.",
        ],
    )  # fmt: skip


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f}"


def _figures(m: Measured) -> dict[str, object]:
    return {
        "alerts": m.size.alerts,
        "deliveries": m.size.deliveries,
        "due": m.size.due,
        "fill_s": m.fill_s,
        "longest_s": {name: max(steps) for name, steps in m.steps_s.items()},
        "digests_per_second": m.size.due / m.digests_s,
        "settled_per_second": m.size.due / m.settle_s,
        "status_s": statistics.median(m.status_s),
        "submit_s": statistics.median(m.submit_s),
    }

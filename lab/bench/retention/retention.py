"""What pruning costs, and whether the ledger then stops growing.

A ledger is filled, grows old, is pruned and filled again, twice: what PostgreSQL has on disk after
each filling is what counts. Beside it are a young alert and an old one with something in doubt,
which must lose nothing.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from alerting.clock import SystemClock
from alerting.dispatch.prune import Pruner
from alerting.embedded import engines
from alerting.errors import WorkFailed
from alerting.store.db import Database
from alerting.store.migrate import migrate
from lab.bench.report import Options, Report, Table, Target
from lab.bench.retention import ledger
from lab.bench.retention.ledger import Bytes

#: Deliveries of one filling, in how many alerts; beside them those that stay.
FULL = (1_000_000, 5, 50_000)
QUICK = (6_000, 2, 2_000)

FILLINGS = 3
_DAYS = 400


@dataclass(frozen=True, slots=True)
class Round:
    """One filling and, but for the last, its prune.

    Attributes:
        fill_s: Seconds it took.
        steps_s: What each transaction of the prune took.
    """

    fill_s: float
    filled: Bytes
    pruned: Bytes | None = None
    vacuumed: Bytes | None = None
    prune_s: float = 0.0
    vacuum_s: float = 0.0
    steps_s: list[float] = field(default_factory=list)


def run(options: Options) -> Report:
    """Fill, prune and fill again. Raises WorkFailed where something in use was deleted, or
    something old was left: then no figure is worth anything."""
    deliveries, alerts, beside = QUICK if options.quick else FULL
    rounds: list[Round] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        engines.start(Path(name) / "var", with_redis=False) as running,
    ):
        url = running.database_url
        migrate(url)
        with psycopg.connect(url, autocommit=True) as db:
            # Only to fill faster; the prune has a session of its own.
            db.execute("set synchronous_commit = off")
            kept: dict[UUID, int] = {}
            pruned: dict[UUID, int] = {}
            for n in range(FILLINGS):
                options.say(f"Filling {deliveries:,} deliveries …")
                each = deliveries // alerts
                start = time.perf_counter()
                new = [ledger.fill(db, each, age_days=_DAYS + 1) for _ in range(alerts)]
                fill_s = time.perf_counter() - start
                if not kept:
                    # Behind what will go, as in earnest: no file gets shorter by its end.
                    kept = _beside(db, beside)
                if n == FILLINGS - 1:
                    rounds.append(Round(fill_s, ledger.size(db)))
                    break
                pruned |= dict.fromkeys(new, each)
                options.say("Pruning them …")
                rounds.append(_prune(db, url, fill_s, len(new) * each))
                ledger.judge(db, kept=kept, pruned=pruned)
    return _report(rounds, deliveries)


def _beside(db: psycopg.Connection[Any], count: int) -> dict[UUID, int]:
    """A young alert, and an old one with something in doubt."""
    young = ledger.fill(db, count, age_days=_DAYS - 1)
    doubtful = ledger.fill(db, count, age_days=_DAYS + 1)
    ledger.doubt(db, doubtful)
    return {young: count, doubtful: count}


def _prune(db: psycopg.Connection[Any], url: str, fill_s: float, expected: int) -> Round:
    filled = ledger.size(db)
    start = time.perf_counter()
    deleted, steps_s = asyncio.run(_run(url))
    prune_s = time.perf_counter() - start
    if deleted != expected:
        raise WorkFailed(f"{deleted:,} of {expected:,} deliveries were pruned.")
    pruned = ledger.size(db)
    start = time.perf_counter()
    with _others(url):
        for table in ledger.TABLES:
            db.execute(f"vacuum (analyze) {table}")
    vacuum_s = time.perf_counter() - start
    return Round(fill_s, filled, pruned, ledger.size(db), prune_s, vacuum_s, steps_s)


@contextmanager
def _others(url: str) -> Iterator[None]:
    """Small transactions all the time, as in a database that is used: a page of an index that
    has become empty is free only once a later transaction is over."""
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as db:
            while not stop.wait(0.01):
                db.execute("select pg_current_xact_id()")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def _run(url: str) -> tuple[int, list[float]]:
    steps_s: list[float] = []

    async def no_rest(seconds: float) -> None:
        steps_s.append(seconds)

    db = Database(url)
    # A gentle one says after every transaction how long it took, and would rest for as long.
    pruner = Pruner(db, SystemClock(), gentle=True, pause=no_rest)
    done = await pruner.run(_DAYS, actor="bench")
    await db.close()
    return done.deliveries, steps_s


def _report(rounds: list[Round], deliveries: int) -> Report:
    first, *others = (r.filled.total for r in rounds)
    grown = (max(others) / first - 1) * 100
    steps_s = sorted(s for r in rounds for s in r.steps_s)
    pruned = [r for r in rounds if r.pruned is not None]
    return Report(
        tables=[
            Table(f"{deliveries:,} deliveries a filling", _COLUMNS, [
                row for n, r in enumerate(rounds) for row in _rows(n + 1, r)
            ]),
            Table("What pruning takes", ("prune", "seconds", "deliveries a second",
                                         "median step ms", "longest ms", "vacuum s"), [
                (str(n + 1), f"{r.prune_s:.1f}", f"{deliveries / r.prune_s:,.0f}",
                 f"{statistics.median(r.steps_s) * 1000:.0f}", f"{max(r.steps_s) * 1000:.0f}",
                 f"{r.vacuum_s:.1f}")
                for n, r in enumerate(pruned)
            ]),
        ],
        targets=[
            Target("growth on disk after the first filling", 10.0, grown, True, "%"),
            Target("longest step of a prune", 1.0, steps_s[-1], True, "s"),
        ],
        figures={"deliveries": deliveries, "rounds": [_figures(r, deliveries) for r in rounds]},
        notes=[
            "Bytes are those of the tables delivery, receipt and outbox with their indexes. A file "
            "does not get smaller by deleting: what was deleted is room for what comes, once it "
            "was vacuumed. Here that is done right after; autovacuum does it by itself when a "
            "fifth of a table is dead. Other transactions go on meanwhile; where none do, pages of "
            "indexes come free one vacuum later.",
        ],
    )  # fmt: skip


_COLUMNS = ("when", "tables MB", "indexes MB", "together MB")


def _rows(n: int, r: Round) -> list[tuple[str, ...]]:
    found = [(f"filled, {n}", r.filled), (f"pruned, {n}", r.pruned), (f"vacuumed, {n}", r.vacuumed)]
    return [
        (name, *(f"{b / 1e6:,.1f}" for b in (s.tables, s.indexes, s.total)))
        for name, s in found
        if s is not None
    ]


def _figures(r: Round, deliveries: int) -> dict[str, object]:
    found: dict[str, object] = {"fill_s": r.fill_s, "filled_bytes": r.filled.total}
    if r.pruned is not None and r.vacuumed is not None:
        found |= {
            "pruned_bytes": r.pruned.total,
            "vacuumed_bytes": r.vacuumed.total,
            "prune_s": r.prune_s,
            "per_second": deliveries / r.prune_s,
            "longest_step_s": max(r.steps_s),
            "vacuum_s": r.vacuum_s,
        }
    return found

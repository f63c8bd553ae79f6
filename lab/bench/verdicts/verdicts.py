"""How many verdicts of the attention budget Redis gives in a second, beside other limiters.

All in one run on one Redis, at 1,000 citizens a call. Two figures for everyone: a second on the
wall, for one client that waits for each answer, which counts the client's own work; and a second
of the server's processor, which is what one Redis core can do for any number of clients.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from alerting.domain.alert import Severity
from alerting.embedded.wait import until
from alerting.throttle.budget import BUCKET, Ask, ClassLimit, Limits
from alerting.throttle.budget.redis_budget import RedisBudget, connect
from alerting.throttle.budget.wire import EPOCH, SHARD
from lab.bench.report import Options, Report, Table, Target
from lab.bench.stubs.server import Server, Work, server
from lab.bench.verdicts.limiters import LIMITERS, batches

BATCH = 1_000
LIMITS = Limits(600, ClassLimit(1, 6), ClassLimit(1, 3), ClassLimit(1, 1))

#: How many calls one client has under way where it does not wait for each.
IN_FLIGHT = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. `limiter_s` per limiter, `batch` citizens a call."""

    citizens: int
    calls: int
    batch: int
    limiter_s: float


FULL = Sizes(10_000_000, 400, BATCH, 2.0)
QUICK = Sizes(4_000, 3, 100, 0.02)


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's figures. Without `work` it is not installed."""

    who: str
    how: str
    verdicts: int = 0
    work: Work | None = None
    note: str = ""

    @property
    def per_s(self) -> float | None:
        return self.verdicts / self.work.wall_s if self.work else None

    @property
    def per_core_s(self) -> float | None:
        """None where the server worked too little for its clock to show."""
        return self.verdicts / self.work.cpu_s if self.work and self.work.cpu_s else None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"who": self.who, "how": self.how, "installed": bool(self.work)}
        if self.work:
            found |= {
                "verdicts": self.verdicts,
                "per_s": _rounded(self.per_s),
                "per_core_s": _rounded(self.per_core_s),
                "script_p50_ms": self.work.script_ms(0.5),
                "script_p99_ms": self.work.script_ms(0.99),
            }
        return found


def run(options: Options) -> Report:
    """Measure everything. Takes about a minute and 400 MB; seconds when quick."""
    sizes = QUICK if options.quick else FULL
    with server() as own:
        memory = _fill(own, sizes, options.say)
        subject = asyncio.run(_subject(own, sizes, options.say))
        own.client.flushall()
        baselines = list(_baselines(own, sizes, options.say))
        return _report(own.version, sizes, memory, subject, baselines)


def _fill(own: Server, sizes: Sizes, say: Callable[[str], None]) -> dict[str, float]:
    """Give every citizen a budget by one alert to all, and see what that takes."""
    say(f"Sending one alert to {sizes.citizens:,} citizens, to see what their budgets take …")
    before = own.used_memory()
    asyncio.run(_alert_everyone(own.url, sizes.citizens))
    filled = own.used_memory()
    for keys in _by_thousand(own.client.scan_iter("alerting:*:*:*", count=10_000)):
        own.client.unlink(*keys)
    # The keys go at once, their memory a moment later.
    until(own.nothing_to_free, timeout_s=30, what="Redis to free the verdicts")
    budgets = own.used_memory() - before
    return {
        "citizens": sizes.citizens,
        "budgets_mb": round(budgets / 1e6, 1),
        "verdicts_of_one_alert_mb": round((filled - before - budgets) / 1e6, 1),
        "together_mb": round((filled - before) / 1e6, 1),
    }


async def _alert_everyone(url: str, citizens: int) -> None:
    async with connect(url) as client:
        budget = RedisBudget(client, timeout_s=60)
        for first in range(0, citizens, BATCH):
            await budget.ask("everyone", _asks(range(first, first + BATCH)), LIMITS)


async def _subject(own: Server, sizes: Sizes, say: Callable[[str], None]) -> list[Row]:
    chance = random.Random(1)  # noqa: S311
    people = range(sizes.citizens)
    buckets = range(0, min(SHARD, sizes.citizens), BUCKET)
    dense = [
        range(n * sizes.batch % sizes.citizens, n * sizes.batch % sizes.citizens + sizes.batch)
        for n in range(sizes.calls)
    ]
    wide = [chance.sample(people, sizes.batch) for _ in range(sizes.calls // 2 + 1)]
    each = [
        [first + chance.randrange(BUCKET) for first in chance.sample(buckets, len(buckets))]
        for _ in range(sizes.calls // 4 + 1)
    ]
    say("Asking for neighbours, for citizens anywhere, and for one of each thousand …")
    rows = []
    async with connect(own.url) as client:
        budget = RedisBudget(client, timeout_s=60)
        for how, chosen, in_flight in (
            ("dense, every budget different", dense, 1),
            (f"the same, {IN_FLIGHT} calls under way", dense, IN_FLIGHT),
            (f"sparse, anywhere among {sizes.citizens:,}", wide, 1),
            ("sparse, one of each 1,000 of 1,000,000", each, 1),
        ):
            if chosen is dense:
                _scatter(own.client, {i // BUCKET for batch in dense for i in batch}, chance)
            questions = [_asks(batch) for batch in chosen]
            with own.measured() as work:
                await _all(budget, how, questions, in_flight)
            rows.append(Row("alerting", how, sum(map(len, questions)), work))
    return rows


async def _all(
    budget: RedisBudget, name: str, questions: Sequence[list[Ask]], in_flight: int
) -> None:
    waiting = iter(enumerate(questions))

    async def one_after_another() -> None:
        for n, asks in waiting:
            await budget.ask(f"{name} {n}", asks, LIMITS)

    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))


def _baselines(own: Server, sizes: Sizes, say: Callable[[str], None]) -> Iterator[Row]:
    for limiter in LIMITERS:
        who = f"{limiter.package} {limiter.version or ''}".strip()
        if limiter.version is None:
            yield Row(who, limiter.algorithm)
            continue
        say(f"Asking {who}, {limiter.algorithm} …")
        own.client.flushall()
        ask, verdicts, refused = limiter.make(own.url), 0, 0
        ask(-1)
        with own.measured() as work:
            for citizens in batches(sizes.batch, sizes.limiter_s):
                refused += sum(not ask(citizen_id) for citizen_id in citizens)
                verdicts += sizes.batch
        yield Row(who, limiter.algorithm, verdicts, work, f"refused {refused}" if refused else "")


def _scatter(client: Redis, buckets: Iterable[int], chance: random.Random) -> None:
    """Make every record of these buckets different: no two citizens had the same messages.

    Otherwise equal records would be decided once and looked up a thousand times.
    """
    now = int(time.time()) - EPOCH
    for bucket in buckets:
        tats = [now + chance.randrange(-86_400, 86_400) for _ in range(4 * BUCKET)]
        key = f"alerting:{{budget-{bucket * BUCKET // SHARD}}}:{bucket}"
        client.setrange(key, 0, struct.pack(f"<{len(tats)}I", *tats))


def _asks(citizen_ids: Iterable[int]) -> list[Ask]:
    return [Ask(citizen_id, Severity.MODERATE) for citizen_id in citizen_ids]


def _by_thousand(keys: Iterable[Any]) -> Iterator[list[Any]]:
    found = list(keys)
    for n in range(0, len(found), 1_000):
        yield found[n : n + 1_000]


def _report(
    version: str, sizes: Sizes, memory: dict[str, float], subject: list[Row], baselines: list[Row]
) -> Report:
    dense, _, wide, each = subject
    best = max((r.per_s for r in baselines if r.per_s), default=None)
    best_core = max((r.per_core_s for r in baselines if r.per_core_s), default=None)
    p99 = [r.work.script_ms(0.99) for r in subject if r.work]
    targets = [
        Target("dense, a second of one Redis core", 300_000, dense.per_core_s),
        Target("sparse anywhere, a second of one Redis core", 80_000, wide.per_core_s),
        Target("sparse one of each 1,000, the same", 80_000, each.per_core_s),
        Target("script p99, the slowest way", 4, max((p for p in p99 if p), default=None), True,
               "ms"),
        Target("dense against the best of the others, by wall", 36, _over(dense.per_s, best),
               unit="×"),
        Target("the same, by server processor", 15, _over(dense.per_core_s, best_core), unit="×"),
        Target(f"memory at {sizes.citizens:,} citizens", 200, memory["together_mb"], True, "MB"),
    ]  # fmt: skip
    rows = [_cells(row, dense) for row in (*subject, *baselines)]
    columns = ("who", "how", "verdicts/s", "per server core", "script p50", "p99", "dense is")
    held = (
        f"{memory['together_mb']:,} MB with {sizes.citizens:,} citizens: budgets "
        f"{memory['budgets_mb']:,} MB, verdicts of one alert to all of them "
        f"{memory['verdicts_of_one_alert_mb']:,} MB."
    )
    return Report(
        tables=[Table(f"Verdicts, {sizes.batch:,} citizens a call", columns, rows)],
        targets=targets,
        figures={
            "batch": sizes.batch,
            "redis": version,
            "cpus": os.cpu_count(),
            "memory": memory,
            "ours": [r.to_json() for r in subject],
            "rivals": [r.to_json() for r in baselines],
            "best_rival_per_s": _rounded(best),
            "best_rival_per_core_s": _rounded(best_core),
        },
        notes=[held, *(f"{r.who}, {r.how}: {r.note}." for r in baselines if r.note)],
    )


def _cells(row: Row, dense: Row) -> tuple[str, ...]:
    if row.work is None:
        return (row.who, row.how, "not installed", "", "", "", "")
    p50, p99 = row.work.script_ms(0.5), row.work.script_ms(0.99)
    return (
        row.who,
        row.how,
        _number(row.per_s, ",.0f"),
        _number(row.per_core_s, ",.0f"),
        _number(p50, ".2f", " ms"),
        _number(p99, ".2f", " ms"),
        _number(_over(dense.per_s, row.per_s), ".1f", "×"),
    )


def _over(a: float | None, b: float | None) -> float | None:
    return a / b if a and b else None


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{form}}{unit}"

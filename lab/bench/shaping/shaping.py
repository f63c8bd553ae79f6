"""How well worker processes keep to one provider's rate together, beside simpler ways.

Each run has real processes and a provider of its own, which times what arrives by the kernel's
clock. The first second is left out: it is spent on starting.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lab.bench.report import Options, Report, Table, Target
from lab.bench.shaping.sink import Arrival, Phase, listen, most_in_a_second
from lab.bench.shaping.workers import Job, work
from lab.bench.stubs.server import Server, server

#: Left out at the beginning of each run.
WARM_S = 1.0

WAYS = {
    "shared": "alerting: reserved, all workers together",
    "divided": "each process its own part of the rate",
    "fixed window": "limits, fixed window: rejected, tried again",
    "moving window": "limits, moving window: rejected, tried again",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        busy: How many of the workers have something to send.
        storm_s: Before, during and after the storm.
        after: What the provider then takes, as a part of the rate.
    """

    workers: int
    busy: tuple[int, ...]
    per_second: float
    seconds: float
    storm_s: tuple[float, float, float]
    after: tuple[float, ...]


FULL = Sizes(8, (8, 2), 1_000, 8.0, (4.0, 5.0, 16.0), (1.0, 0.6))
QUICK = Sizes(2, (2,), 200, 1.2, (0.5, 0.2, 1.5), (1.0,))


@dataclass(frozen=True, slots=True)
class Row:
    """One way with this many workers at work.

    Attributes:
        each_second: What arrived in it.
    """

    way: str
    busy: int
    over_percent: float
    used_percent: float
    calls_per_s: float
    each_second: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "way": self.way,
            "busy_workers": self.busy,
            "over_percent": round(self.over_percent, 2),
            "used_percent": round(self.used_percent, 2),
            "scripts_per_s": round(self.calls_per_s),
            "each_second": list(self.each_second),
        }


@dataclass(frozen=True, slots=True)
class Storm:
    """What came after a time in which the provider took less. None: never in the run."""

    limit: float
    recovered_s: float | None
    used_percent: float
    refused: int
    sent: int

    def to_json(self) -> dict[str, Any]:
        return {
            "limit_afterwards": self.limit,
            "seconds_to_90_percent": self.recovered_s,
            "used_percent_from_then": round(self.used_percent, 1),
            "refused": self.refused,
            "sent": self.sent,
        }


def run(options: Options) -> Report:
    """Measure everything. Takes about three minutes; seconds when quick."""
    sizes = QUICK if options.quick else FULL
    with server() as own:
        rows = list(_rows(own, sizes, options.say))
        storms = list(_storms(own, sizes, options.say))
        options.say("Sending for eight tenants, one of them from every worker …")
        fairness, shares = _fairness(own, sizes)
        return _report(own.version, sizes, rows, storms, fairness, shares)


def _rows(own: Server, sizes: Sizes, say: Callable[[str], None]) -> Iterator[Row]:
    for way, words in WAYS.items():
        for busy in sizes.busy:
            say(f"{words}; {busy} of {sizes.workers} workers have something to send …")
            own.client.flushall()
            own.client.config_resetstat()
            arrivals = _send(own, sizes, way, [(0,)] * busy, sizes.seconds)
            stats = own.client.info("commandstats")
            calls = sum(stats.get(f"cmdstat_{n}", {}).get("calls", 0) for n in ("eval", "evalsha"))
            window = _steady(arrivals, sizes.seconds)
            by_second = Counter(int(a.at_s) for a in window)
            yield Row(
                way,
                busy,
                100 * (most_in_a_second(window) / sizes.per_second - 1),
                100 * len(window) / (sizes.seconds - WARM_S) / sizes.per_second,
                calls / sizes.seconds,
                tuple(by_second[n] for n in range(int(WARM_S), int(sizes.seconds))),
            )


def _storms(own: Server, sizes: Sizes, say: Callable[[str], None]) -> Iterator[Storm]:
    """The provider takes a fifth for a while; then all again, or three fifths for good."""
    calm_s, storm_s, after_s = sizes.storm_s
    for part in sizes.after:
        limit = part * sizes.per_second
        say(f"A storm of 429s, after which the provider takes {limit:,.0f} a second …")
        phases = [
            Phase(0),
            Phase(calm_s, sizes.per_second / 5, 1.0),
            Phase(calm_s + storm_s, limit),
        ]
        own.client.flushall()
        arrivals = _send(
            own, sizes, "shared", [(0,)] * sizes.workers, calm_s + storm_s + after_s, phases
        )
        yield _storm(arrivals, limit, calm_s + storm_s, calm_s + storm_s + after_s)


def _storm(arrivals: Sequence[Arrival], limit: float, begins_s: float, ends_s: float) -> Storm:
    taken = [a.at_s for a in arrivals if a.taken and begins_s <= a.at_s < ends_s]
    recovered_at, first = None, 0
    for n, at in enumerate(taken):
        while taken[first] <= at - 1:
            first += 1
        if n - first + 1 >= 0.9 * limit:
            recovered_at = at
            break
    rest = [at for at in taken if recovered_at is not None and at >= recovered_at]
    rest_s = ends_s - recovered_at if recovered_at is not None else 0.0
    return Storm(
        limit,
        None if recovered_at is None else round(recovered_at - begins_s, 2),
        100 * len(rest) / rest_s / limit if rest_s > 0 else 0.0,
        sum(not a.taken for a in arrivals),
        len(arrivals),
    )


def _fairness(own: Server, sizes: Sizes) -> tuple[float, dict[int, int]]:
    """Jain's index over what each tenant got: 1 is all the same, 1/n is all for one."""
    own.client.flushall()
    tenants = [(0,), *((0, n) for n in range(1, sizes.workers))]
    arrivals = _send(own, sizes, "shared", tenants, sizes.seconds)
    shares = Counter(a.tenant for a in _steady(arrivals, sizes.seconds))
    counts = [shares[n] for n in range(sizes.workers)]
    squares = sum(c * c for c in counts)
    return (sum(counts) ** 2 / len(counts) / squares if squares else 0.0), dict(shares)


def _send(
    own: Server,
    sizes: Sizes,
    way: str,
    tenants: Sequence[tuple[int, ...]],
    seconds: float,
    phases: Sequence[Phase] = (),
) -> list[Arrival]:
    """Let a worker send for each of `tenants`; what arrived, in order."""
    # Not forked: each process starts as a worker does, with nothing of this one.
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    sink = spawn.Process(target=listen, args=(there, list(phases)), daemon=True)
    sink.start()
    port = here.recv()
    begin = spawn.Barrier(len(tenants))
    jobs = [
        Job(n, sizes.workers, way, own.url, port, sizes.per_second, names, seconds)
        for n, names in enumerate(tenants)
    ]
    processes = [spawn.Process(target=work, args=(job, begin), daemon=True) for job in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    here.send(None)
    arrivals: list[Arrival] = here.recv()
    sink.join()
    return sorted(arrivals, key=lambda a: a.at_s)


def _steady(arrivals: Sequence[Arrival], seconds: float) -> list[Arrival]:
    """Without the start, and without what is still under way at the end."""
    return [a for a in arrivals if WARM_S <= a.at_s < seconds]


def _report(
    version: str,
    sizes: Sizes,
    rows: list[Row],
    storms: list[Storm],
    fairness: float,
    shares: dict[int, int],
) -> Report:
    subject = [r for r in rows if r.way == "shared"]
    recovered = [s.recovered_s for s in storms]
    slowest = None if None in recovered else max(r for r in recovered if r is not None)
    targets = [
        Target("over the rate in any second", 1, max(r.over_percent for r in subject), True, "%"),
        Target("of the rate used", 97, min(r.used_percent for r in subject), unit="%"),
        Target("to 90 % of what the provider takes after a storm", 10, slowest, True, "s"),
        Target("Jain's index of eight tenants, one from every worker", 0.95, fairness),
    ]
    return Report(
        tables=[
            Table(
                f"{sizes.workers} worker processes, one sender of {sizes.per_second:,.0f} a second",
                ("how", "busy", "over in the worst second", "used", "Redis scripts/s"),
                [_cells(r, sizes.workers) for r in rows],
            ),
            Table(
                "After a storm of 429s",
                ("provider then takes", "to 90 % of it", "used from then", "429s", "sent"),
                [_storm_cells(s) for s in storms],
            ),
        ],
        targets=targets,
        figures={
            "workers": sizes.workers,
            "per_second": sizes.per_second,
            "redis": version,
            "cpus": os.cpu_count(),
            "ways": [r.to_json() for r in rows],
            "storms": [s.to_json() for s in storms],
            "fairness": {
                "jain": round(fairness, 4),
                "by_tenant": [shares.get(n, 0) for n in range(sizes.workers)],
            },
        },
        notes=[
            "Over: the most that arrived in any second, wherever it begins, against the rate; "
            "below 0 it was never reached."
        ],
    )


def _cells(row: Row, workers: int) -> tuple[str, ...]:
    return (
        WAYS[row.way],
        f"{row.busy} of {workers}",
        f"{row.over_percent:+.1f} %",
        f"{row.used_percent:.1f} %",
        f"{row.calls_per_s:,.0f}",
    )


def _storm_cells(storm: Storm) -> tuple[str, ...]:
    return (
        f"{storm.limit:,.0f} a second",
        "never" if storm.recovered_s is None else f"{storm.recovered_s:.1f} s",
        f"{storm.used_percent:.0f} %",
        f"{storm.refused:,}",
        f"{storm.sent:,}",
    )

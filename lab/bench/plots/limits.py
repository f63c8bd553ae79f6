"""Plots of what has to stay within limits: a provider's rate, and what a message costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from lab.bench.kept import Kept
from lab.bench.plots.frame import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    beside,
    figure,
    legend,
    names,
    reach,
    reach_words,
)

_WAYS = {
    "shared": "ours: reserved together",
    "divided": "a part for each process",
    "fixed window": "limits, fixed window",
    "moving window": "limits, moving window",
}
_PROGRAMS = {"workers": (BLUE, "o"), "PostgreSQL": (ORANGE, "s"), "Redis": (GREEN, "^")}


def shaping(kept: Kept) -> tuple[Figure, str]:
    """Of each way: the rate used altogether, in each second, and in the fullest second."""
    found = kept.found
    rows, rate = found["ways"], float(found["per_second"])
    most = {t["name"]: t for t in found["targets"]}["over the rate in any second"]
    used = {t["name"]: t for t in found["targets"]}["of the rate used"]
    made = figure(1.5 + 0.3 * len(rows))
    axes = made.subplots()
    axes.axvline(100, color=BLACK, linewidth=1)
    for n, row in enumerate(rows):
        subject = row["way"] == "shared"
        fullest = 100 + row["over_percent"]
        seconds = [100 * taken / rate for taken in row.get("each_second", [])]
        axes.plot(seconds, [n + 0.3] * len(seconds), ".", color=GREY, markersize=3.5, mew=0)
        axes.plot(row["used_percent"], n, "o", color=BLUE if subject else ORANGE, markersize=7)
        axes.plot(fullest, n, "|", color=BLACK, markersize=11, mew=1.8)
        beside(axes, n, f"{row['used_percent']:.1f} % used, fullest {fullest:.1f} %")
        if subject:
            axes.fill_betweenx([n - 0.5, n + 0.5], reach(used), 100 + reach(most), color="#DCEBF5",
                               linewidth=0, zorder=0)  # fmt: skip
    workers = found["workers"]
    names(axes, [f"{_WAYS[r['way']]}, {r['busy_workers']} of {workers} busy" for r in rows], 8)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"of the rate of {rate:,.0f} a second, %")
    axes.plot([], [], "o", color=BLUE, label="used, ours")
    axes.plot([], [], "o", color=ORANGE, label="another way")
    if any(row.get("each_second") for row in rows):
        axes.plot([], [], ".", color=GREY, label="one second")
    axes.plot([], [], "|", color=BLACK, markersize=9, mew=1.8, label="fullest second")
    axes.fill_between([], [], color="#DCEBF5", label="reach")
    legend(axes, 5)
    axes.grid(visible=True, axis="x")
    return made, f"One provider's rate by {workers} worker processes: kept and used"


def memory(kept: Kept) -> tuple[Figure, str]:
    """Left the processor of 1,000 deliveries by program, right the memory of a worker."""
    alerts = kept.found["alerts"]
    grown, held = kept.found["targets"][:2]
    citizens = [a["citizens"] for a in alerts]
    made = figure(2.9)
    left, right = made.subplots(1, 2)
    for program, (colour, marker) in _PROGRAMS.items():
        costs = [1e6 * a["cpu_s"].get(program, 0.0) / a["citizens"] for a in alerts]
        left.plot(citizens, costs, marker, color=colour, markersize=5, label=program,
                  clip_on=False)  # fmt: skip
    together = [
        1e6 * sum(s for name, s in a["cpu_s"].items() if name != "stand-in") / a["citizens"]
        for a in alerts
    ]
    left.plot(citizens, together, "D", color=BLACK, markersize=5, label="together")
    # The target is of the largest beside the smallest, so this is where it lies.
    asked = together[-1] / grown["measured"] * reach(grown)
    left.axhline(asked, color=BLACK, linestyle="--", linewidth=1)
    left.annotate(f"reach ≤ {reach(grown):g} × the smallest", (citizens[-1], asked), (0, 3),
                  textcoords="offset points", ha="right", fontsize=7.5)  # fmt: skip
    left.set_ylim(0, 1.45 * max(asked, *together))
    left.set_title("Processor of 1,000 deliveries", loc="left")
    left.set_ylabel("ms")
    left.legend(loc="upper left", ncols=2, frameon=False, fontsize=7.5, handletextpad=0.2,
                columnspacing=0.8, borderaxespad=0.1)  # fmt: skip
    right.plot(citizens, [a["worker_mb"] for a in alerts], "o", color=BLUE, markersize=5)
    right.axhline(reach(held), color=BLACK, linestyle="--", linewidth=1)
    right.annotate(reach_words(held), (citizens[-1], reach(held)), (0, 3),
                   textcoords="offset points", ha="right", fontsize=7.5)  # fmt: skip
    right.set_ylim(0, 1.2 * max(reach(held), *(a["worker_mb"] for a in alerts)))
    right.set_title("Most memory of a worker process", loc="left")
    right.set_ylabel("MB")
    for axes in (left, right):
        _citizens(axes, sorted(set(citizens)))
    return made, (
        f"What a message costs from {citizens[0]:,} to {citizens[-1]:,} citizens: "
        f"{grown['measured']:.2f} × the processor"
    )


def _citizens(axes: Any, sizes: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(sizes)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("citizens of the alert")
    axes.margins(x=0.12)
    axes.grid(visible=True, axis="y")

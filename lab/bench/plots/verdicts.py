"""Plot of the verdicts of attention budgets: ours in four ways beside other limiters."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lab.bench.kept import Kept
from lab.bench.plots.frame import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    beside,
    figure,
    legend,
    names,
    reach,
    thousands,
)

#: How the name of a target begins → which of our rows it is for.
_TARGETS = {"dense, a second": 0, "sparse anywhere": 2, "sparse one of each": 3}


def verdicts(kept: Kept) -> tuple[Figure, str]:
    """By wall clock and by the server's processor, on a logarithmic axis."""
    subject = kept.found["ours"]
    baselines = [row for row in kept.found["rivals"] if row["installed"]]
    baselines.sort(key=lambda row: -row["per_s"])
    rows = [*subject, *baselines]
    made = figure(1.5 + 0.3 * len(rows))
    axes = made.subplots()
    axes.set_xscale("log")
    for n, row in enumerate(rows):
        wall, core = row["per_s"], row["per_core_s"]
        colour = BLUE if n < len(subject) else GREY
        if core:
            axes.plot([wall, core], [n, n], color="#CCCCCC", linewidth=1.5, zorder=1)
            axes.plot(core, n, "D", color=ORANGE, markersize=5)
        axes.plot(wall, n, "o", color=colour, markersize=6)
        words = f"{wall:,}" if n == 0 else f"{wall:,}, dense {subject[0]['per_s'] / wall:.1f}×"
        beside(axes, n, words)
    for value, n in _asked(kept):
        axes.plot([value, value], [n - 0.4, n + 0.4], color=BLACK, linewidth=1.6)
    axes.plot([], [], "o", color=BLUE, label="by the clock, ours")
    axes.plot([], [], "o", color=GREY, label="by the clock, others")
    axes.plot([], [], "D", color=ORANGE, label="by one Redis core")
    axes.plot([], [], "|", color=BLACK, markersize=9, label="reach, of a core")
    legend(axes, 4)
    names(axes, [_name(row) for row in rows], 8)
    axes.xaxis.set_minor_formatter(NullFormatter())
    thousands(axes.xaxis)
    axes.grid(visible=True, axis="x")
    memory, batch = kept.found["memory"], kept.found["batch"]
    axes.set_xlabel(
        f"verdicts a second, {batch:,} a call\n"
        f"{memory['together_mb']:,.0f} MB of Redis hold {memory['citizens']:,} citizens"
    )
    return made, "Verdicts of attention budgets a second, beside other limiters"


def _name(row: dict[str, Any]) -> str:
    who = "ours" if row["who"] == "alerting" else row["who"]
    return f"{who}, {row['how']}"


def _asked(kept: Kept) -> list[tuple[float, int]]:
    """The target, and its row."""
    return [
        (reach(target), n)
        for target in kept.found["targets"]
        for words, n in _TARGETS.items()
        if target["name"].startswith(words)
    ]

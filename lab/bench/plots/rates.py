"""Plots of how much is done in a second: bars by way, the product and its baselines."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from lab.bench.kept import Kept
from lab.bench.plots.frame import (
    BLACK,
    BLUE,
    GREY,
    LIGHT,
    beside,
    figure,
    names,
    reach,
    reach_words,
    thousands,
)
from lab.bench.rounds import SUBJECT

_ROW, _REST = 0.42, 1.35
_BAR = 0.62

#: The name of a target → the row of the receipts' plot it is for.
_RECEIPTS = {"callbacks taken a second": 0, "receipts applied a second while more are taken": 2}

#: The target of a row, and its label.
Marks: TypeAlias = Mapping[int, tuple[float, str]]
_NO_MARKS: Marks = {}


def sms(kept: Kept) -> tuple[Figure, str]:
    return _ways(kept, "SMS", "messages")


def email(kept: Kept) -> tuple[Figure, str]:
    return _ways(kept, "Email", "mails")


def push(kept: Kept) -> tuple[Figure, str]:
    return _ways(kept, "Web Push", "messages")


def _ways(kept: Kept, medium: str, things: str) -> tuple[Figure, str]:
    """Left the rates, right the product's ratio to each baseline, with the target."""
    rates: Mapping[str, list[float]] = kept.found["per_second"]
    ways = sorted(rates, key=lambda way: (way != SUBJECT, -statistics.median(rates[way])))
    made = figure(_REST + _ROW * len(ways))
    left, right = made.subplots(1, 2, sharey=True, width_ratios=(5, 3))
    _bars(left, [(way, rates[way]) for way in ways], {SUBJECT})
    left.set_xlabel(f"{things} a second: median, spread")
    subject = statistics.median(rates[SUBJECT])
    ratios = {n: subject / statistics.median(rates[n]) for n in ways if n != SUBJECT}
    # A target of a way ends with its name.
    targets = {n: t for n in ratios for t in kept.found["targets"] if t["name"].endswith(n)}
    _ratios(right, ways, ratios, targets)
    count = kept.found["messages"][SUBJECT]
    return made, f"{medium} to {count:,} citizens, end to end, beside other ways"


def receipts(kept: Kept) -> tuple[Figure, str]:
    found = kept.found
    rows = [
        ("taken, each durable", [float(found["ours_per_s"])]),
        ("taken while applying", [float(found["applied"]["taken_per_s"])]),
        ("applied meanwhile", [float(found["applied"]["applied_per_s"])]),
        ("an insert and commit for each", [float(found["plain_per_s"])]),
    ]
    made = figure(_REST + _ROW * len(rows))
    axes = made.subplots()
    targets = {
        _RECEIPTS[t["name"]]: (reach(t), reach_words(t))
        for t in found["targets"]
        if t["name"] in _RECEIPTS
    }
    _bars(axes, rows, {name for name, _ in rows[:3]}, targets)
    axes.set_xlabel("callbacks a second")
    lost, times = found["kill"]["lost"], found["ratio"]
    return made, (
        f"Signed status callbacks: {times:g} × a commit for each, {lost:,} lost by kill -9"
    )


def scale(kept: Kept) -> tuple[Figure, str]:
    rates: Mapping[str, list[float]] = kept.found["per_second"]
    one, *_, several = sorted(rates, key=int)
    rows = [(f"{n} host{'s' if n != '1' else ''}", rates[n]) for n in (one, several)]
    made = figure(_REST + _ROW * len(rows) + 0.2)
    axes = made.subplots()
    (target,) = (t for t in kept.found["targets"] if "beside one" in t["name"])
    at = reach(target) * statistics.median(rates[one])
    marks = {1: (at, f"reach ≥ {reach(target):g} × one host")}
    _bars(axes, rows, {name for name, _ in rows}, marks)
    axes.set_xlabel("messages a second: median and spread of the rounds")
    shape = kept.found["shaping"]
    return made, (
        f"{several} hosts on one machine's processors: {float(target['measured']):.2f} × one; "
        f"{shape['used_percent']:.1f} % of one rate used"
    )


def _bars(
    axes: Any,
    rows: Sequence[tuple[str, Sequence[float]]],
    subject: set[str],
    marks: Marks = _NO_MARKS,
) -> None:
    medians = [statistics.median(found) for _, found in rows]
    axes.barh(
        range(len(rows)),
        medians,
        height=_BAR,
        color=[BLUE if name in subject else LIGHT for name, _ in rows],
    )
    for n, (_, found) in enumerate(rows):
        if len(found) > 1:
            spread = [[medians[n] - min(found)], [max(found) - medians[n]]]
            axes.errorbar(medians[n], n, xerr=spread, color=BLACK, capsize=3, linewidth=1)
        right = max(found)
        # A mark would go through the number.
        if n in marks and right < marks[n][0] < 1.4 * right:
            right = marks[n][0]
        axes.annotate(
            f"{medians[n]:,.0f}", (right, n), (5, 0), textcoords="offset points", va="center"
        )
    names(axes, [name for name, _ in rows])
    shown = [*(max(found) for _, found in rows), *(value for value, _ in marks.values())]
    axes.set_xlim(0, 1.25 * max(shown))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    thousands(axes.xaxis)
    axes.grid(visible=True, axis="x")
    for n, (value, words) in marks.items():
        _mark(axes, value, n, words)


def _ratios(
    axes: Any,
    ways: Sequence[str],
    ratios: Mapping[str, float],
    targets: Mapping[str, Mapping[str, Any]],
) -> None:
    axes.set_xscale("log")
    axes.axvline(1, color=GREY, linewidth=0.8)
    shown = [*ratios.values(), *(reach(t) for t in targets.values()), 1]
    axes.set_xlim(min(shown) / 1.5, max(shown) * 1.5)
    for n, way in enumerate(ways):
        if way not in ratios:
            continue
        words = f"{ratios[way]:.{1 if ratios[way] >= 9.95 else 2}f}×"
        if way in targets:
            asked = reach(targets[way])
            axes.plot([asked, asked], [n - 0.36, n + 0.36], color=BLACK, linewidth=1.6)
            words = f"{words}, {reach_words(targets[way])}"
        axes.plot(ratios[way], n, "o", color=BLUE, markersize=6)
        beside(axes, n, words)
    axes.tick_params(axis="y", length=0)
    low, high = axes.get_xlim()
    tens = [t for t in (0.01, 0.1, 1, 10, 100, 1000) if low <= t <= high]
    axes.set_xticks(tens if len(tens) > 1 else [t for t in (0.3, 1, 3) if low <= t <= high])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("ours beside it")
    axes.grid(visible=True, axis="x")


def _mark(axes: Any, value: float, row: int, words: str) -> None:
    """A line across a row's bar at its target."""
    axes.plot([value, value], [row - 0.36, row + 0.36], color=BLACK, linewidth=1.6)
    axes.annotate(
        words, (value, row - 0.36), (0, 1), textcoords="offset points",
        va="bottom", ha="center", fontsize=7.5, color=BLACK,
    )  # fmt: skip
    axes.set_ylim(top=-0.75)

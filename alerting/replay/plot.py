"""One picture of a replay: interruptions per citizen and day, and deliveries by reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from alerting.domain.decision import Action
from alerting.errors import BadInput
from alerting.replay.result import Figures

# Okabe and Ito's orange and blue: distinguishable with any colour vision, and in grey.
_BEFORE, _AFTER = "#E69F00", "#0072B2"
_MOST_BARS = 25


def plot(figures: Figures, path: Path, *, title: str) -> None:
    """Write a PNG, or the format named by the suffix of `path`.

    Left: the share of citizens' days with at least N interruptions, without and with the throttle.
    Right: deliveries by the reason of their decision.

    Raises:
        BadInput: When it cannot be written.
    """
    figure = Figure(figsize=(13, 5.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _days(left, *figures.per_citizen_day())
    _reasons(right, figures)
    figure.suptitle(
        f"{title}: {figures.deliveries:,} deliveries, {figures.interruptions:,} interruptions "
        f"({figures.reduction:.1%} fewer)"
    )
    try:
        figure.savefig(path)
    except (OSError, ValueError) as e:
        raise BadInput(f"{path} cannot be written: {e}.", remedy="Name a .png file.") from e


def _days(axes: Any, before: NDArray[np.int64], after: NDArray[np.int64]) -> None:
    for counts, colour, style, label in (
        (before, _BEFORE, "--", "every message sent"),
        (after, _AFTER, "-", "with the throttle"),
    ):
        if not len(counts):
            continue
        # Only where the share changes: a year of alerts needs no more points than its busiest day.
        levels, days = np.unique(counts, return_counts=True)
        at_least = days[::-1].cumsum()[::-1] / len(counts) * 100
        shown = levels > 0
        if not shown.any():
            continue
        # A step extends half a unit to both sides of its number.
        edges = np.concatenate(([0.5], levels[shown] + 0.5, levels[shown][-1:] + 0.5))
        shares = np.concatenate((at_least[shown][:1], at_least[shown], [0]))
        mean = f"{label}: mean {counts.mean():.2f}, p95 {np.percentile(counts, 95):.0f}, "
        axes.step(
            edges,
            shares,
            where="pre",
            color=colour,
            linestyle=style,
            linewidth=2.2,
            label=f"{mean}max {counts.max()}",
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(left=0.5)
    axes.set_ylim(0, 102)
    axes.set_xlabel("interruptions of one citizen in one day, at least")
    axes.set_ylabel("share of citizens' days, %")
    axes.set_title("Interruptions per citizen and day")
    axes.grid(visible=True, alpha=0.3)
    if len(before) or len(after):
        axes.legend(loc="best")


def _reasons(axes: Any, figures: Figures) -> None:
    rows = figures.by_decision.most_common(_MOST_BARS)[::-1]
    interrupts = [action is Action.SEND for (action, _), _ in rows]
    bars = axes.barh(
        [f"{action.name}, {reason}" for (action, reason), _ in rows],
        [n for _, n in rows],
        color=[_BEFORE if i else _AFTER for i in interrupts],
        hatch=["//" if i else "" for i in interrupts],
        edgecolor="white",
    )
    axes.bar_label(bars, labels=[f"{n:,}" for _, n in rows], padding=3)
    axes.set_xlabel("deliveries")
    axes.set_title("Decisions and their reasons (hatched: interrupts)")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.margins(x=0.18)
    axes.grid(visible=True, axis="x", alpha=0.3)

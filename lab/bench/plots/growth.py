"""The plot of the live path beside ten years of alerts."""

from __future__ import annotations

from matplotlib.figure import Figure

from lab.bench.kept import Kept
from lab.bench.plots.frame import (
    BLACK,
    BLUE,
    LIGHT,
    figure,
    legend,
    names,
    reach,
    reach_words,
)


def growth(kept: Kept) -> tuple[Figure, str]:
    """The longest transaction of each duty, in the small database and in the large one."""
    found = kept.found
    small, large = found["small"], found["large"]
    duties = list(large["longest_s"])
    (target,) = (t for t in found["targets"] if t["name"].startswith("longest transaction"))
    made = figure(1.0 + 0.4 * len(duties))
    axes = made.subplots()
    for measured, colour, shift in ((small, LIGHT, -0.18), (large, BLUE, 0.18)):
        axes.barh(
            [n + shift for n in range(len(duties))],
            [float(measured["longest_s"][duty]) * 1000 for duty in duties],
            height=0.34,
            color=colour,
            label=f"{measured['deliveries']:,} deliveries",
        )
    axes.axvline(reach(target) * 1000, color=BLACK, linewidth=1.2, linestyle="--")
    axes.annotate(reach_words(target), (reach(target) * 1000, len(duties) - 0.5), (0, -2),
                  textcoords="offset points", ha="right", va="bottom", rotation=90,
                  fontsize=7.5)  # fmt: skip
    names(axes, duties)
    axes.set_xlabel("longest transaction, ms")
    axes.grid(visible=True, axis="x")
    legend(axes, 2)
    return made, f"Maintenance beside {large['alerts']:,} alerts that are over"

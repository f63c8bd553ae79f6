"""The plot of a ledger that is filled, pruned and filled again."""

from __future__ import annotations

from matplotlib.figure import Figure

from lab.bench.kept import Kept
from lab.bench.plots.frame import BLACK, BLUE, LIGHT, figure, names, reach, reach_words


def retention(kept: Kept) -> tuple[Figure, str]:
    """What the ledger takes on disk after each filling, and how far it may grow."""
    found = kept.found
    filled = [float(r["filled_bytes"]) / 1e6 for r in found["rounds"]]
    (target,) = (t for t in found["targets"] if t["name"].startswith("growth on disk"))
    most = filled[0] * (1 + reach(target) / 100)
    made = figure(0.9 + 0.36 * len(filled))
    axes = made.subplots()
    rows = range(len(filled))
    axes.barh(rows, filled, height=0.55, color=[LIGHT] + [BLUE] * (len(filled) - 1))
    for n, megabytes in enumerate(filled):
        grown = f", {(megabytes / filled[0] - 1) * 100:+.1f} %" if n else ""
        axes.annotate(f"{megabytes:,.0f} MB{grown}", (megabytes, n), (-5, 0), ha="right",
                      color="white" if n else BLACK, textcoords="offset points",
                      va="center")  # fmt: skip
    axes.axvline(most, color=BLACK, linewidth=1.2, linestyle="--")
    axes.annotate(reach_words(target), (most, -0.5), (0, 2), textcoords="offset points",
                  ha="center", va="bottom", fontsize=7.5)  # fmt: skip
    names(axes, ["filled", *[f"pruned and filled, {n}" for n in rows if n]])
    axes.set_xlabel("on disk, MB")
    axes.grid(visible=True, axis="x")
    return made, f"A ledger of {found['deliveries']:,} deliveries, pruned and filled again"

"""Plots of how long things take: an audience planned, an Extreme that overtakes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from lab.bench.kept import Kept
from lab.bench.plots.frame import BLACK, BLUE, LIGHT, ORANGE, figure, names, reach, reach_words

#: Times by number of messages, in figures that an older run kept.
_SHARES = {"first_s": 0, "p50_s": 50, "p90_s": 90, "p99_s": 99, "last_s": 100}


def audience(kept: Kept) -> tuple[Figure, str]:
    """Left the seconds to the first chunk, right to all of them; the product's with the spread
    of its districts."""
    found = kept.found
    targets = {t["name"].partition(",")[0]: t for t in found["targets"]}
    made = figure(1.95)
    panels = (
        ("first_s", "until the first chunk is ready, s", targets["first chunk ready"]),
        ("all_s", "until all are planned, s", targets["all planned"]),
    )
    both = made.subplots(1, 2, sharey=True)
    for axes, (key, label, target) in zip(both, panels, strict=True):
        subject = [float(o[key]) for o in found["ours"]]
        middle, plain = statistics.median(subject), float(found["plain"][key])
        axes.barh([0, 1], [middle, plain], height=0.55, color=[BLUE, LIGHT])
        spread = [[middle - min(subject)], [max(subject) - middle]]
        axes.errorbar(middle, 0, xerr=spread, color=BLACK, capsize=3, linewidth=1)
        for n, (value, right) in enumerate(((middle, max(subject)), (plain, plain))):
            axes.annotate(f"{value:.{2 if value < 10 else 1}f} s", (right, n), (5, 0),
                          textcoords="offset points", va="center")  # fmt: skip
        asked = reach(target)
        axes.axvline(asked, color=BLACK, linewidth=1.2, linestyle="--")
        axes.annotate(reach_words(target), (asked, -0.5), (0, 2), textcoords="offset points",
                      ha="center", va="bottom", fontsize=7.5)  # fmt: skip
        axes.set_xlim(0, 1.3 * max(*subject, plain, asked))
        names(axes, ["ours", "a box and points"])
        axes.set_xlabel(label)
        axes.grid(visible=True, axis="x")
    most = max(int(o["citizens"]) for o in found["ours"])
    return made, f"Audiences of up to {most:,} found among {found['citizens']:,} citizens"


def overtake(kept: Kept) -> tuple[Figure, str]:
    """For each way the share of an Extreme's messages taken over time, every round a line."""
    ways: Mapping[str, list[dict[str, Any]]] = kept.found["ways"]
    made = figure(2.9)
    first, beside = _targets(kept)
    panels = made.subplots(1, len(ways), sharey=True, squeeze=False)[0]
    for n, (axes, (way, passages)) in enumerate(zip(panels, ways.items(), strict=True)):
        for loaded, colour, dashes in ((False, ORANGE, "--"), (True, BLUE, "-")):
            for passage in (p for p in passages if p["loaded"] is loaded):
                axes.plot(*_course(passage), color=colour, linestyle=dashes, linewidth=1.6)
        ratio = _p99(passages, loaded=True) / _p99(passages, loaded=False)
        words = f"{_wrapped(way)}\np99: {ratio:.2f} × idle"
        if n == 0:
            words += f", {reach_words(beside)}"
            asked = reach(first)
            axes.plot([asked] * 2, [0, 16], color=BLACK, linewidth=1.6)
            left = asked > axes.get_xlim()[1] / 2
            axes.annotate("first:\n" + reach_words(first), (asked, 8), (-4 if left else 4, 0),
                          ha="right" if left else "left", textcoords="offset points",
                          va="center", fontsize=7.5)  # fmt: skip
        axes.set_title(words, loc="left", fontsize=8)
        axes.set_xlim(left=0)
        axes.set_ylim(0, 102)
        axes.set_xlabel("s from its submission", fontsize=8)
        axes.grid(visible=True)
    panels[0].set_ylabel("taken by the provider, %")
    panels[-1].plot([], [], color=ORANGE, linestyle="--", label="idle")
    panels[-1].plot([], [], color=BLUE, label="loaded")
    panels[-1].legend(loc="lower right", frameon=False, fontsize=8)
    size = next(iter(kept.found["sizes"].values()))
    return made, f"An Extreme to {size['grave']:,} overtakes an alert to {size['light']:,}"


def _targets(kept: Kept) -> Sequence[dict[str, Any]]:
    """The targets of the first attempt and of p99 against idle."""
    (first,) = (t for t in kept.found["targets"] if t["name"].startswith("to the first attempt"))
    (beside,) = (t for t in kept.found["targets"] if t["name"].startswith("p99"))
    return first, beside


def _course(passage: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Seconds, and percent taken by then."""
    if "every_twentieth_s" in passage:
        times = [float(t) for t in passage["every_twentieth_s"]]
        return times, [100 * n / (len(times) - 1) for n in range(len(times))]
    return [float(passage[key]) for key in _SHARES], [float(s) for s in _SHARES.values()]


def _p99(passages: Sequence[Mapping[str, Any]], *, loaded: bool) -> float:
    return statistics.median(float(p["p99_s"]) for p in passages if p["loaded"] is loaded)


def _wrapped(way: str) -> str:
    head, comma, tail = way.partition(", ")
    return f"{head}{comma.strip()}\n{tail}" if comma else way

"""What all plots of benches share: size, colours, title, small print, and writing the file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from alerting.errors import BadInput
from lab.bench.kept import Kept

#: Okabe and Ito's, distinct for every kind of colour vision, and by lightness in grey.
BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#E69F00", "#009E73", "#767676", "#222222"

#: What is only for comparison.
LIGHT = "#BBBBBB"

#: Twice the pixels of a page's column, in points that are legible there.
_INCHES, _DPI = 7.0, 200
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
}

#: Enough colours for flat areas and the edges of letters.
_COLOURS = 64


def style() -> Any:
    """A context without the reader's own settings of matplotlib."""
    return matplotlib.style.context(["default", _STYLE])


def figure(height: float) -> Figure:
    """An empty figure of this height in inches."""
    made = Figure(figsize=(_INCHES, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(made: Figure, kept: Kept, title: str, path: Path) -> None:
    """Write the PNG: the same bytes for the same figures and the same matplotlib.

    Raises BadInput where it cannot be written.
    """
    made.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=BLACK)
    made.supxlabel(_small_print(kept), x=0.01, ha="left", fontsize=6.5, color=GREY)
    drawn, small = io.BytesIO(), io.BytesIO()
    # By default the version of matplotlib goes into the file.
    made.savefig(drawn, format="png", metadata={"Software": None})
    image = Image.open(drawn).convert("RGB")
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    try:
        path.write_bytes(small.getvalue())
    except OSError as e:
        raise BadInput(
            f"{path} cannot be written: {e.strerror}.", remedy="Name a folder that can."
        ) from e


def _small_print(kept: Kept) -> str:
    m = kept.machine
    parts = [
        f"bench {kept.name}",
        f"{m['cpus']} processors {m['processor']}",
        f"Python {m['python']}",
        *([f"commit {kept.commit}"] if kept.commit else []),
        kept.at[:10],
        *(["smallest sizes: these figures mean nothing"] if kept.quick else []),
    ]
    return "  ·  ".join(parts)


def reach(target: Mapping[str, Any]) -> float:
    """What a target asks for, as `Target.to_json` has it."""
    return float(target["at_most"] if "at_most" in target else target["at_least"])


def reach_words(target: Mapping[str, Any]) -> str:
    sign = "≤" if "at_most" in target else "≥"
    unit = target["unit"]
    return f"reach {sign} {reach(target):,g}{'' if unit == '×' else ' '}{unit}".rstrip()


def beside(axes: Any, row: float, words: str) -> None:
    """Write to the right of a row, outside the plot."""
    axes.annotate(
        words, (1, row), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        va="center", fontsize=8, annotation_clip=False,
    )  # fmt: skip


def legend(axes: Any, columns: int) -> None:
    """A legend above the plot, with a column for each meaning where there is room."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, frameon=False, fontsize=8,
                columnspacing=1.2, handletextpad=0.4, borderaxespad=0)  # fmt: skip


def names(axes: Any, words: Sequence[str], size: float = 9) -> None:
    """A labelled row for each name, from the top; their values are drawn at 0, 1, 2 …"""
    axes.set_yticks(range(len(words)), words, fontsize=size)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(words) - 0.5, -0.5)


def thousands(axis: Any) -> None:
    """Numbers of an axis with commas."""
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")

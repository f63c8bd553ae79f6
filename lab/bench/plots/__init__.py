"""Plots of what benches found, from the figures they keep: one PNG a bench.

matplotlib is loaded only when something is drawn.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from alerting.errors import BadInput
from lab.bench import kept

#: name → module:function, which takes a Kept and gives a matplotlib Figure and its title.
_PLOTS = {
    "sms": "lab.bench.plots.rates:sms",
    "email": "lab.bench.plots.rates:email",
    "push": "lab.bench.plots.rates:push",
    "verdicts": "lab.bench.plots.verdicts:verdicts",
    "audience": "lab.bench.plots.times:audience",
    "overtake": "lab.bench.plots.times:overtake",
    "shaping": "lab.bench.plots.limits:shaping",
    "receipts": "lab.bench.plots.rates:receipts",
    "memory": "lab.bench.plots.limits:memory",
    "scale": "lab.bench.plots.rates:scale",
    "retention": "lab.bench.plots.retention:retention",
    "growth": "lab.bench.plots.growth:growth",
}


def draw(names: Sequence[str], figures: Path, folder: Path) -> list[Path]:
    """Draw each bench's plot from its figures in `figures` to `NAME.png` in `folder`.

    The same figures give the same bytes. Raises NotFound where a bench has no figures, and then
    draws none; BadInput where a file of figures is not as this version writes it, or where the
    folder cannot be written.
    """
    found = kept.read(figures, names)
    from lab.bench.plots import frame

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise BadInput(
            f"{folder} cannot be made: {e.strerror}.", remedy="Name a folder that can."
        ) from e
    paths = []
    for each in found:
        module, _, function = _PLOTS[each.name].partition(":")
        plot = getattr(importlib.import_module(module), function)
        path = folder / f"{each.name}.png"
        with frame.style():
            try:
                figure, title = plot(each)
            except (ArithmeticError, LookupError, TypeError, ValueError) as e:
                raise kept.unfit(figures / f"{each.name}.json", each.name) from e
            frame.save(figure, each, title, path)
        paths.append(path)
    return paths

"""Plots of what benches found, from the figures they keep: one PNG a bench.

matplotlib is loaded only when something is drawn.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from alerting.bench import kept
from alerting.errors import BadInput

#: name → module:function, which takes a Kept and gives a matplotlib Figure and its title.
_PLOTS = {
    "sms": "alerting.bench.plots.rates:sms",
    "email": "alerting.bench.plots.rates:email",
    "push": "alerting.bench.plots.rates:push",
    "verdicts": "alerting.bench.plots.verdicts:verdicts",
    "audience": "alerting.bench.plots.times:audience",
    "overtake": "alerting.bench.plots.times:overtake",
    "shaping": "alerting.bench.plots.limits:shaping",
    "receipts": "alerting.bench.plots.rates:receipts",
    "memory": "alerting.bench.plots.limits:memory",
    "scale": "alerting.bench.plots.rates:scale",
    "retention": "alerting.bench.plots.retention:retention",
    "growth": "alerting.bench.plots.growth:growth",
}


def draw(names: Sequence[str], figures: Path, folder: Path) -> list[Path]:
    """Draw each bench's plot from its figures in `figures` to `NAME.png` in `folder`.

    The same figures give the same bytes. Raises NotFound where a bench has no figures, and then
    draws none; BadInput where a file of figures is not as this version writes it, or where the
    folder cannot be written.
    """
    found = kept.read(figures, names)
    from alerting.bench.plots import frame

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

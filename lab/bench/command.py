"""`python -m lab bench`: what this machine does in a second, beside what others do on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as RichTable

from alerting.cli import common
from alerting.errors import BadInput
from alerting.settings import settings
from lab.bench import BENCHES, find, kept, plots
from lab.bench.report import Options, Report, Target

_EPILOG = "\b\n" + "\n".join(f"{name}  {sentence}" for name, (_, sentence) in BENCHES.items())


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--quick", is_flag=True, help="Only see that it runs; the figures mean nothing.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    metavar="SHARE",
    help="Of the full size; for `growth`, which fills a disk.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Measure nothing: draw the figures kept by earlier runs to FOLDER/NAME.png.",
)
@common.as_json
def bench(
    names: tuple[str, ...], quick: bool, share: float, plot: Path | None, as_json: bool
) -> int:
    """Measure, beside others doing the same job in the same run. Without a name: everything.

    Runs on engines of its own, which end with it. Ratios count; absolute numbers only describe
    the machine. A target that is missed is shown as missed and is no error. Figures are kept in
    `var/bench/NAME.json`.
    """
    chosen = {name: find(name) for name in dict.fromkeys(names or BENCHES)}
    folder = settings().var / "bench"
    if plot is not None:
        if quick:
            raise BadInput("--plot measures nothing, so nothing can be quick.", remedy="Omit one.")
        return _plot(list(chosen), folder, plot, as_json=as_json)
    console = Console(stderr=True)

    def say(text: str) -> None:
        if not as_json:
            console.print(text, markup=False, highlight=False, style="dim")

    found = {}
    for name, run in chosen.items():
        report = run(Options(quick, say, share))
        found[name] = report.to_json()
        path = kept.write(folder, name, found[name], quick=quick)
        if not as_json:
            _print(report)
            say(f"The figures are in {path}.")
    if as_json:
        click.echo(json.dumps({"benches": found, "quick": quick, **kept.where()}))
    return 0


def _plot(names: list[str], figures: Path, folder: Path, *, as_json: bool) -> int:
    paths = [str(path) for path in plots.draw(names, figures, folder)]
    click.echo(json.dumps({"plots": paths}) if as_json else "\n".join(paths))
    return 0


def _print(report: Report) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    for table in report.tables:
        shown = RichTable(title=table.title, title_justify="left")
        for n, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if n < 2 else "right")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
    for note in report.notes:
        console.print(note, markup=False, highlight=False)
    shown = RichTable(title="Targets", title_justify="left")
    for column in ("what", "reach", "measured", ""):
        shown.add_column(column, justify="left" if column in {"what", ""} else "right")
    for target in report.targets:
        shown.add_row(*_cells(target))
    console.print(shown)


def _cells(target: Target) -> tuple[str, str, str, str]:
    unit = f" {target.unit}".rstrip()
    reach = f"{'≤' if target.at_most else '≥'} {target.reach:,g}{unit}"
    if target.measured is None:
        return target.name, reach, "–", "not measured"
    form = ",.0f" if target.measured >= 1_000 else ",.2f"
    outcome = "reached" if target.reached else "missed"
    return target.name, reach, f"{target.measured:{form}}{unit}", outcome

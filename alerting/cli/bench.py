"""`alerting bench`: what this machine does in a second, beside what others do on it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as RichTable

from alerting.bench import BENCHES, find
from alerting.bench.report import Options, Report, Target
from alerting.cli import options
from alerting.settings import settings

_EPILOG = "\b\n" + "\n".join(f"{name}  {sentence}" for name, (_, sentence) in BENCHES.items())


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--quick", is_flag=True, help="Only see that it runs; the figures mean nothing.")
@options.as_json
def bench(names: tuple[str, ...], quick: bool, as_json: bool) -> int:
    """Measure, beside others doing the same job in the same run. Without a name: everything.

    Runs on engines of its own, which end with it. Ratios count; absolute numbers only describe
    the machine. A target that is missed is shown as missed and is no error. Figures are kept in
    `var/bench/NAME.json`.
    """
    chosen = {name: find(name) for name in dict.fromkeys(names or BENCHES)}
    console = Console(stderr=True)

    def say(text: str) -> None:
        if not as_json:
            console.print(text, markup=False, highlight=False, style="dim")

    found = {}
    for name, run in chosen.items():
        report = run(Options(quick, say))
        found[name] = report.to_json()
        path = _keep(name, found[name], quick=quick)
        if not as_json:
            _print(report)
            say(f"The figures are in {path}.")
    if as_json:
        click.echo(json.dumps({"benches": found, "quick": quick, **_where()}))
    return 0


def _keep(name: str, found: dict[str, object], *, quick: bool) -> Path:
    """Write a bench's figures to `var/bench/NAME.json`."""
    path = settings().var / "bench" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: found, "quick": quick, **_where()}, indent=1) + "\n")
    return path


def _where() -> dict[str, object]:
    """The machine, and the code where it stands in a repository."""
    git = shutil.which("git")
    root = Path(__file__).parents[2]
    commit = ""
    if git is not None and (root / ".git").exists():
        done = subprocess.run(
            [git, "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        )
        commit = done.stdout.strip()
    return {
        "machine": {
            "cpus": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "version": importlib.metadata.version("alerting"),
        "commit": commit,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


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

"""`python -m lab chaos`: break things while an alert goes out, and let the carriers' logs judge."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from alerting import examples
from alerting.cli import common
from alerting.errors import AlertingError, BadInput
from alerting.observe.logs import configure
from alerting.settings import settings
from lab.chaos.plan import Parameters
from lab.chaos.report import Report
from lab.chaos.run import run
from lab.chaos.run_config import RunConfig
from lab.chaos.scenarios import SCENARIOS, find

_WIDTH = max(map(len, SCENARIOS))
_EPILOG = "\b\n" + "\n".join(f"{n:{_WIDTH}} {s.sentence}" for n, s in SCENARIOS.items())


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="[SCENARIO…]")
@click.option(
    "--citizens", type=click.IntRange(100, 5_000_000), help="By default as the scenario says."
)
@click.option("--seed", default=1, show_default=True, help="The same seed, the same plan.")
@click.option("--kills", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option("--absent-s", default=60.0, show_default=True, type=click.FloatRange(1, 3600))
@click.option("--keep", is_flag=True, help="Keep the folder with all logs and data.")
@common.as_json
def chaos(
    names: tuple[str, ...],
    citizens: int | None,
    seed: int,
    kills: int,
    absent_s: float,
    keep: bool,
    as_json: bool,
) -> int:
    """Send an alert to synthetic citizens and meanwhile kill, stop, wipe and cut off what sends it.

    Without a scenario: kills. Starts everything on engines and ports of its own below var/chaos
    and ends it again. Exits 0 when nothing was lost and everything else held, by the carriers'
    own logs. With --json and several scenarios the object holds one report for each.
    """
    if not Path("/proc/self/stat").exists():
        raise BadInput("Chaos finds worker processes in /proc, which this system does not have.")
    chosen = {name: find(name) for name in dict.fromkeys(names or ("kills",))}
    own, parameters = settings(), Parameters(kills=kills, absent_s=absent_s)
    configure("ERROR", own.log_format)
    reports = []
    for name, scenario in chosen.items():
        count = citizens or scenario.citizens
        command = _command(name, count, seed, parameters)
        with _Bar(name, quiet=as_json) as bar:
            run_config = RunConfig(name, scenario, count, seed, parameters, command, bar.show)
            try:
                report = asyncio.run(run(own, examples.FLOOD.read_bytes(), run_config))
            except AlertingError:
                click.echo(f"Broke off with seed {seed}. Again: {command}", err=True)
                raise
        reports.append(report)
        if not as_json:
            _print(report)
        if report.passed and not keep:
            shutil.rmtree(own.var / "chaos" / name, ignore_errors=True)
        elif not report.passed:
            click.echo(f"Failed with seed {seed}. Again: {command}", err=True)
            click.echo(f"Logs and data: {own.var / 'chaos' / name}", err=True)
    passed = all(r.passed for r in reports)
    if as_json:
        found = [r.to_json() for r in reports]
        click.echo(json.dumps(found[0] if len(found) == 1 else {"runs": found, "passed": passed}))
    return 0 if passed else 1


def _command(name: str, citizens: int, seed: int, parameters: Parameters) -> str:
    words = f"python -m lab chaos {name} --citizens {citizens} --seed {seed}"
    if name == "kills":
        words += f" --kills {parameters.kills}"
    if name == "no-redis":
        words += f" --absent-s {parameters.absent_s:g}"
    return words


class _Bar:
    """Messages and faults so far, on a terminal."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=quiet or not sys.stderr.isatty(),
        )
        self._name = name
        self._task = self._bar.add_task(f"{name}: starting", total=None)

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, messages: int, of: int, faults: int, all_faults: int) -> None:
        self._bar.update(
            self._task,
            description=f"{self._name}: {faults} of {all_faults} faults",
            total=of,
            completed=min(messages, of),
        )


def _print(report: Report) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    faults = Table(title=f"{report.scenario}, seed {report.seed}", title_justify="left")
    faults.add_column("fault")
    for column in ("times", "silence s, median", "longest"):
        faults.add_column(column, justify="right")
    struck = [s.fault.name for s in report.struck]
    recoveries = report.recoveries()
    for name in sorted(set(struck)):
        seconds = sorted(recoveries.get(name, []))
        shown = (
            [f"{seconds[len(seconds) // 2]:.2f}", f"{seconds[-1]:.2f}"] if seconds else ["-"] * 2
        )
        faults.add_row(name, str(struck.count(name)), *shown)
    console.print(faults)
    held = Table(title="What has to hold", title_justify="left")
    for column in ("what", "at most", "measured", ""):
        held.add_column(column, justify="left" if column in {"what", ""} else "right")
    for c in report.criteria:
        measured = "-" if c.measured is None else f"{c.measured:,.3g}"
        held.add_row(c.name, f"{c.at_most:g}", measured, "holds" if c.holds else "BROKEN")
    console.print(held)
    j = report.judgement
    console.print(
        f"{report.citizens:,} citizens; by the carriers' own logs: expected {j.expected:,}, "
        f"received {j.received:,}, lost {j.lost}, duplicates {j.duplicates} "
        f"({j.unflagged} unflagged). In doubt per kill: at most {max(report.in_doubt, default=0)}. "
        f"{report.seconds:.0f} s.",
        markup=False,
        highlight=False,
    )

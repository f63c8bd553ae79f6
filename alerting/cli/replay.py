"""`alerting replay` and `alerting storm`: what citizens would have been told, with nothing sent."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from alerting.cli import options
from alerting.cli.progress import progress
from alerting.errors import BadInput
from alerting.replay import storm_files
from alerting.replay.population import from_register, generated
from alerting.replay.reading import read_trace
from alerting.replay.result import Result
from alerting.replay.run import replay as run
from alerting.replay.storm import generate
from alerting.settings import settings
from alerting.throttle.policy.parse import MAX_CHARACTERS, Policy, default_policy, parse_policy

_path = click.Path(path_type=Path)
#: Of each kind of trouble, so many are printed.
_SHOWN = 5


@click.command()
@click.argument("paths", nargs=-1, required=True, type=_path, metavar="PATH…")
@click.option("--policy", type=_path, help="The policy to decide by, instead of the default.")
@click.option("--citizens", type=_path, help="A register's CSV, instead of one citizen a place.")
@click.option("--truth", type=_path, help="Which incident each message is about (JSON lines).")
@click.option("--detail", type=_path, help="Write a line of JSON for each alert and citizen.")
@click.option("--plot", type=_path, help="Draw interruptions per citizen and day into a PNG.")
@options.as_json
def replay(
    paths: tuple[Path, ...],
    policy: Path | None,
    citizens: Path | None,
    truth: Path | None,
    detail: Path | None,
    plot: Path | None,
    as_json: bool,
) -> int:
    """Play past alerts before the throttle and say what citizens would have been told.

    PATH is a folder, a zip, a feed or a CAP file. Nothing is sent and nothing is fetched. Without
    --citizens there is one citizen for each geocode, and where an area has none, for each polygon
    and circle.
    """
    chosen = _policy(policy)
    for target in filter(None, (detail, plot)):
        if not target.absolute().parent.is_dir():
            raise BadInput(f"There is no folder for {target}.", remedy="Make it first.")
    trace = read_trace(list(paths), truth=truth)
    population = from_register(citizens) if citizens else generated(trace.alerts)
    bar = progress(quiet=as_json)
    with bar:
        task = bar.add_task("replaying", total=len(trace.played))
        result = asyncio.run(
            run(
                trace,
                population,
                chosen,
                policy_name=str(policy) if policy else "default",
                default_expiry_s=settings().default_expiry_s,
                detail=detail,
                progress=lambda played: bar.update(task, completed=played),
            )
        )
    if plot is not None:
        _plot(result, plot, " ".join(p.name for p in paths))
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        _print(result)
    return 0


@click.command()
@click.argument("target", type=_path, metavar="OUT_DIR|OUT.zip")
@click.option("--seed", type=int, default=1, show_default=True, help="Another storm for each.")
@click.option("--citizens", type=click.IntRange(1, 100_000), default=500, show_default=True)
def storm(target: Path, seed: int, citizens: int) -> int:
    """Write a made-up day of too many alerts: five agencies, forty alerts, and its citizens."""
    count = storm_files.write(generate(seed, citizens=citizens), target)
    click.echo(f"{count} files written to {target}.")
    if target.suffix.lower() != ".zip":
        register = target / storm_files.CITIZENS
        click.echo(f"Play it: alerting replay {target} --citizens {register}")
    return 0


def _policy(path: Path | None) -> Policy:
    if path is None:
        return default_policy()
    try:
        with path.open(encoding="utf-8") as file:
            # One character more than is allowed tells "too long" without reading it all.
            text = file.read(MAX_CHARACTERS + 1)
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror}.", remedy="Check the path.") from e
    except UnicodeDecodeError as e:
        raise BadInput(f"{path} is not UTF-8 text.", remedy="Is it the right file?") from e
    return parse_policy(text, name=path.name)


def _plot(result: Result, path: Path, title: str) -> None:
    # matplotlib takes half a second to import, which nobody else should wait for.
    from alerting.replay.plot import plot

    plot(result.figures, path, title=title)


def _print(result: Result) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    found = result.to_json()
    console.print(
        f"{found['messages']:,} messages for {found['citizens']:,} citizens under the "
        f"{found['policy']} policy, in {found['seconds']:.1f} s.",
        highlight=False,
        markup=False,
    )
    for table in (_outcomes(found), _reasons(found), _days(found), _judged(found)):
        console.print(table)
    for name, count in (
        ("not for the public", found["not_public"]),
        ("acknowledgements and errors", found["not_sent"]),
        ("for nobody here", found["nobody_concerned"]),
    ):
        if count:
            console.print(f"{count:,} messages were {name}.", highlight=False)
    _troubles("could not be read", [f"{r.file}: {r.reason}" for r in result.trace.refused])
    _troubles("lines of the register could not be used", result.population.refused)


def _outcomes(found: dict[str, Any]) -> Table:
    table = Table(title="Deliveries")
    table.add_column("severity")
    columns = ("deliveries_without_throttle", "interruptions", "silent", "digested", "dropped")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for severity, counts in found["by_severity"].items():
        table.add_row(severity, *(f"{counts[c]:,}" for c in columns))
    table.add_section()
    table.add_row("all", *(f"{found[c]:,}" for c in columns))
    table.caption = (
        f"{found['digests']:,} of the interruptions are digests. "
        f"Citizens were interrupted {found['reduction']:.1%} less."
    )
    return table


def _reasons(found: dict[str, Any]) -> Table:
    table = Table(title="Decisions by reason")
    table.add_column("reason")
    table.add_column("deliveries", justify="right")
    for reason, count in found["by_reason"].items():
        table.add_row(reason, f"{count:,}")
    return table


def _days(found: dict[str, Any]) -> Table:
    table = Table(title="Interruptions of one citizen in one day")
    for column in ("", "mean", "p95", "max"):
        table.add_column(column, justify="right" if column else "left")
    for name, label in (("before", "every message sent"), ("after", "with the throttle")):
        row = found["per_citizen_day"][name]
        table.add_row(label, f"{row['mean']:.2f}", f"{row['p95']:g}", f"{row['max']:,}")
    return table


def _judged(found: dict[str, Any]) -> Table:
    table = Table(title="Judged by the alerts alone")
    table.add_column("figure")
    table.add_column("count", justify="right")
    for key in (
        "state_changes",
        "state_changes_missed",
        "extreme_suppressed",
        "wrong_ends",
        "quiet_hour_violations",
    ):
        table.add_row(key.replace("_", " "), f"{found[key]:,}")
    if found["grouping"]:
        for key, value in found["grouping"].items():
            shown = "-" if value is None else f"{value:,}" if key == "pairs" else f"{value:.4f}"
            table.add_row(f"grouping {key}", shown)
    return table


def _troubles(what: str, all_of_them: list[str]) -> None:
    if not all_of_them:
        return
    click.echo(f"{len(all_of_them):,} {what}:", err=True)
    for line in all_of_them[:_SHOWN]:
        click.echo(f"  {line}", err=True)
    if len(all_of_them) > _SHOWN:
        click.echo(f"  and {len(all_of_them) - _SHOWN:,} more", err=True)

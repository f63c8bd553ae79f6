"""The results of replays, printed for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from alerting.domain.alert import Severity
from alerting.replay.result import Result

#: The number of problems printed of each kind.
_SHOWN = 5


def summary(result: Result) -> None:
    """Print tables for a person."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    found = result.to_json()
    console.print(
        f"{found['messages']:,} messages for {found['citizens']:,} citizens under the "
        f"{found['policy']} policy, channels {found['channels']}, in {found['seconds']:.1f} s.",
        highlight=False,
        markup=False,
    )
    for table in (_outcomes(found), _reasons(found), _days(found), _judged(found)):
        console.print(table)
    if found["missed"] or found["late"]:
        console.print(_faults(found))
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
    for key in ("state_changes", "state_changes_missed", "state_changes_late"):
        table.add_row(key.replace("_", " "), f"{found[key]:,}")
        for severity, counts in found["changes_by_severity"].items():
            if count := counts[key.removeprefix("state_").removeprefix("changes_")]:
                table.add_row(f"  {severity}", f"{count:,}")
    table.add_row("expired waiting", f"{sum(found['expired_waiting'].values()):,}")
    for key in ("unchanged", "unchanged_interrupting", "wrong_ends", "quiet_hour_violations"):
        table.add_row(key.replace("_", " "), f"{found[key]:,}")
    table.add_row("unchanged interrupting share", f"{found['unchanged_interrupting_share']:.1%}")
    if found["grouping"]:
        for key, value in found["grouping"].items():
            shown = "-" if value is None else f"{value:,}" if key == "pairs" else f"{value:.4f}"
            table.add_row(f"grouping {key}", shown)
    return table


def _faults(found: dict[str, Any]) -> Table:
    table = Table(title="Missed and late changes")
    for column in ("", "severity", "channels", "change", "reason"):
        table.add_column(column)
    table.add_column("count", justify="right")
    for what in ("missed", "late"):
        for f in found[what]:
            table.add_row(
                what, f["severity"], f["channels"], f["change"], f["reason"], f"{f['count']:,}"
            )
    return table


def _troubles(what: str, all_of_them: list[str]) -> None:
    if not all_of_them:
        return
    click.echo(f"{len(all_of_them):,} {what}:", err=True)
    for line in all_of_them[:_SHOWN]:
        click.echo(f"  {line}", err=True)
    if len(all_of_them) > _SHOWN:
        click.echo(f"  and {len(all_of_them) - _SHOWN:,} more", err=True)


_HEAD = (
    "trace", "channels", "messages", "citizens", "interruptions", "a citizen's day, mean", "most",
    "changes", "missed, Extreme and Severe", "missed below", "late", "quiet hours",
    "of what changes nothing interrupts",
)  # fmt: skip
_FAULT_HEAD = ("trace", "channels", "severity", "change", "reason", "missed", "late")
_HIGH_PRIORITY = frozenset({Severity.EXTREME, Severity.SEVERE})


def markdown(results: Sequence[tuple[str, Result]]) -> str:
    """Several replays as tables in Markdown, as lab/measurements/throttling.md has them.

    A row for each replay, then a row for each kind of change that was missed or late.
    """
    lines = _rows(_HEAD, [_figure_row(name, result) for name, result in results])
    faults = [row for name, result in results for row in _fault_rows(name, result)]
    if faults:
        lines += ["", *_rows(_FAULT_HEAD, faults)]
    return "".join(f"{line}\n" for line in lines)


def _figure_row(name: str, result: Result) -> list[str]:
    figures, found = result.figures, result.findings
    before, after = figures.per_citizen_day()
    missed = sum(n for f, n in found.missed.items() if f.severity in _HIGH_PRIORITY)

    def arrow(a: float, b: float, form: str) -> str:
        return f"{a:{form}} → {b:{form}}"

    return [
        name,
        result.channels,
        f"{figures.messages:,}",
        f"{len(result.population.citizens):,}",
        arrow(figures.rung_without_throttle, figures.interruptions, ","),
        arrow(before.mean(), after.mean(), ".1f") if len(before) else "-",
        arrow(before.max(), after.max(), ",") if len(before) else "-",
        f"{found.changes.total():,}",
        f"{missed:,}",
        f"{found.missed.total() - missed:,}",
        f"{found.late.total():,}",
        f"{found.quiet_hour_violations:,}",
        f"{found.needless_share:.1%}",
    ]


def _fault_rows(name: str, result: Result) -> list[list[str]]:
    missed, late = result.findings.missed, result.findings.late
    # By mix, not by each citizen's own channels: the table is long enough.
    kinds: dict[tuple[Severity, str, str], list[int]] = {}
    for counts, column in ((missed, 0), (late, 1)):
        for f, count in counts.items():
            kinds.setdefault((f.severity, f.change, f.reason), [0, 0])[column] += count
    order = sorted(kinds, key=lambda k: (k[0].rank, -sum(kinds[k]), k[1:]))
    return [[name, result.channels, *map(str, k), *(f"{n:,}" for n in kinds[k])] for k in order]


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]

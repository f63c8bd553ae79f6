"""Several replays as tables in Markdown, as lab/measurements/throttling.md has them."""

from __future__ import annotations

from collections.abc import Sequence

from alerting.domain.alert import Severity
from alerting.replay.result import Result

_HEAD = (
    "trace", "channels", "messages", "citizens", "interruptions", "a citizen's day, mean", "most",
    "changes", "missed, Extreme and Severe", "missed below", "late", "quiet hours",
    "of what changes nothing interrupts",
)  # fmt: skip
_FAULT_HEAD = ("trace", "channels", "severity", "change", "reason", "missed", "late")
_HIGH_PRIORITY = frozenset({Severity.EXTREME, Severity.SEVERE})


def markdown(results: Sequence[tuple[str, Result]]) -> str:
    """A row for each replay, then a row for each kind of change that was missed or late."""
    lines = _rows(_HEAD, [_figures(name, result) for name, result in results])
    faults = [row for name, result in results for row in _faults(name, result)]
    if faults:
        lines += ["", *_rows(_FAULT_HEAD, faults)]
    return "".join(f"{line}\n" for line in lines)


def _figures(name: str, result: Result) -> list[str]:
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


def _faults(name: str, result: Result) -> list[list[str]]:
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

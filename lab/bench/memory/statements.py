"""The SQL statements of 1,000 deliveries, counted on engines of their own after everything is
measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alerting.bootstrap import Runtime
from alerting.domain.alert import Severity
from alerting.errors import WorkFailed
from alerting.settings import Settings
from lab.bench.population import District, hold_nothing_up, settle_down
from lab.bench.report import Table
from lab.bench.statements import Counted, Statement, counted, server_config, shortened
from lab.bench.statements import uncounted as unseen
from lab.bench.whole_way import accepted, machine, record_outcomes, warm

#: Rows of a table: this many that took most time, and those that are run most.
_DEAREST, _MOST_RUN = 10, 5

_SHOWN = 84


async def count(settings: Settings, everywhere: Sequence[District]) -> Counted:
    """The statements that workers ran for the last district's alert; earlier ones warm them up.

    Raises WorkFailed where the ledger lacks a message.
    """
    found = Counted()
    log = settings.var / "postgres" / "postgres.log"
    async with machine(
        settings, lanes="extreme,severe,routine,drill", postgres_config=server_config()
    ) as config:
        looking_on = config.model_copy(update={"database_url": unseen(config.database_url)})
        async with Runtime.open(looking_on) as runtime:
            async with runtime.db.begin(patient=True) as connection:
                await settle_down(connection, everywhere)
                await hold_nothing_up(connection)
            await warm(runtime)
            for district in everywhere:
                data = district.alert(Severity.SEVERE, f"counted-{district.no}")
                with counted(config.database_url, log) as found:
                    alert_id = await record_outcomes(runtime, data)
                sent = await accepted(runtime, alert_id)
                if sent != district.count:
                    raise WorkFailed(f"The ledger has {sent:,} accepted of {district.count:,}.")
    return found


def chosen(found: Counted) -> list[Statement]:
    """The statements that took most time, and those that ran most often."""
    most_run = sorted(found.statements, key=lambda s: -s.calls)[:_MOST_RUN]
    return [s for n, s in enumerate(found.statements) if n < _DEAREST or s in most_run]


def table(found: Counted, citizens: int) -> Table:
    rows: list[tuple[str, ...]] = [
        (shortened(s.text, _SHOWN), *_cells(s.calls, s.ms, citizens)) for s in chosen(found)
    ]
    calls, ms = found.calls, sum(s.ms for s in found.statements)
    rows.append((f"all {len(found.statements)}", *_cells(calls, ms, citizens)))
    return Table("The statements of 1,000 deliveries that cost most", _COLUMNS, rows)


_COLUMNS = ("statement", "calls", "ms")


def _cells(calls: int, ms: float, citizens: int) -> tuple[str, str]:
    return f"{calls * 1000 / citizens:,.1f}", f"{ms * 1000 / citizens:,.2f}"


def to_json(found: Counted, citizens: int) -> dict[str, Any]:
    return {
        "citizens": citizens,
        "by": found.by,
        "per_thousand": round(found.calls * 1000 / citizens, 1),
        "ms_per_thousand": round(sum(s.ms for s in found.statements) * 1000 / citizens, 2),
        "costliest": [
            {
                "statement": shortened(s.text, 160),
                "calls_per_thousand": round(s.calls * 1000 / citizens, 2),
                "ms_per_thousand": round(s.ms * 1000 / citizens, 3),
            }
            for s in chosen(found)
        ],
    }


def note(found: Counted, citizens: int) -> str:
    return (
        f"Statements are the workers', counted by {found.by} during one more alert to {citizens:,} "
        "on warm workers and a machine of its own, BEGIN, COMMIT and the check that a connection "
        "lives (;) among them. Their milliseconds hold every wait: for the disk, for locks, for "
        "the rows of a copy."
    )

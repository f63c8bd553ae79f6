"""What commands show of an alert: its progress and its state."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from alerting.dispatch.status import AlertStatus, status
from alerting.domain.alert import Scope
from alerting.domain.alert_state import AlertState
from alerting.store.db import Database
from alerting.store.work import presence

#: How often the ledger is read.
PERIOD_S = 0.3

#: Consecutive checks that must find no worker: one that restarts is missing for a moment.
_ALONE = 10


class Bar:
    """A bar on standard error that shows an alert's progress; silent where there is no terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=quiet or not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("planning", total=None)

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, found: AlertStatus) -> None:
        planned = sum(c.planned for c in found.channels.values())
        left = sum(c.open for c in found.channels.values())
        doing = "receipts" if found.settled else "telling" if found.planned_at else "planning"
        self._bar.update(
            self._task, description=doing, total=planned or None, completed=planned - left
        )


async def follow(db: Database, alert_id: UUID, *, quiet: bool = False) -> AlertStatus:
    """Wait until the deliveries are final, the alert is held, or no worker can continue it.

    A bar on a terminal shows the progress.
    """
    alone = 0
    with Bar(quiet=quiet) as bar:
        while True:
            async with db.begin() as connection:
                found = await status(connection, alert_id)
                alone = 0 if await presence.anybody(connection) else alone + 1
            bar.show(found)
            if found.settled or found.state == AlertState.HELD or alone > _ALONE:
                return found
            await asyncio.sleep(PERIOD_S)


def print_status(found: AlertStatus) -> None:
    """Print an alert's state, what is still open, and one row per channel."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    for line in _lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if found.channels:
        console.print(channel_table(found))


def _lines(found: AlertStatus) -> Iterator[str]:
    mark = f"{found.status.upper()}: " if found.is_drill else ""
    reason = f" ({found.state_reason})" if found.state_reason else ""
    closed = found.scope != Scope.PUBLIC and not found.is_drill
    people = "participants" if found.is_drill else "members" if closed else "citizens"
    yield (
        f"{mark}Alert {found.identifier} from {found.sender}: {found.state}{reason}, "
        f"lane {found.lane}, {found.audience:,} {people} in its areas."
    )
    yield f"{found.event or 'No event'}, {found.severity}, sent {found.sent_at.isoformat()}."
    if found.unheard:
        yield f"Nobody is notified of it. {found.unheard}"
    if found.deferred:
        count = sum(found.deferred.values())
        until = ""
        if found.waits_until is not None:
            first = ", the first" if count > 1 else ""
            until = f"{first} until {found.waits_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        why = ", ".join(reason.replace("-", " ") for reason in found.deferred)
        yield f"{count:,} deferred{until} ({why})."


def channel_table(
    found: AlertStatus, extra: Mapping[str, Mapping[str, str]] | None = None
) -> Table:
    """One row per channel: how many, how it ended, how long it took.

    Args:
        extra: More columns, each with its cell by channel.
    """
    extra = extra or {}
    table = Table()
    table.add_column("channel")
    numbers = ("planned", "accepted", "delivered", "failed", "not sent", "open")
    for column in (*extra, *numbers, "p50 s", "p95 s", "p99 s"):
        table.add_column(column, justify="right")
    for name, c in found.channels.items():
        not_sent = ", ".join(f"{n:,} {reason}" for reason, n in c.not_sent.items()) or "0"
        counts = [f"{n:,}" for n in (c.planned, c.accepted, c.delivered, c.failed)]
        seconds = ["-" if s is None else f"{s:.2f}" for s in (c.p50_s, c.p95_s, c.p99_s)]
        more = [cells.get(name, "-") for cells in extra.values()]
        table.add_row(name, *more, *counts, not_sent, f"{c.open:,}", *seconds)
    return table

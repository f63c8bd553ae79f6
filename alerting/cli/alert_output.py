"""What commands show of an alert: its progress, its state, and what submitting it would do."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from alerting.audience import FEW
from alerting.bootstrap import Runtime
from alerting.cli.transaction import acting
from alerting.dispatch.intake.foresee import Hears
from alerting.dispatch.intake.preview import preview
from alerting.dispatch.intake.previewed import Preview, sentence
from alerting.dispatch.status import AlertStatus, status
from alerting.domain.alert import Scope
from alerting.domain.alert_state import AlertState
from alerting.settings import settings
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


_HOW = {
    Hears.AT_ONCE: "interrupted",
    Hears.QUIETLY: "without a sound, or by mail",
    Hears.LATER: "later",
    Hears.NOTHING: "not told",
}
_BECOMES = {
    AlertState.ACCEPTED: "It would be sent",
    AlertState.HELD: "It would wait for a second person",
    AlertState.RECORDED: "It would be recorded and not sent",
    AlertState.SUPERSEDED: "It would not be sent",
}


def show_preview(
    data: bytes, *, now: bool, tell_again: bool, key: str | None, as_json: bool
) -> int:
    """Print the effects of submitting this document; returns the exit code."""

    async def run() -> Preview:
        config = settings()
        async with Runtime.open(config) as runtime:
            async with runtime.db.begin() as connection:
                principal = await acting(connection)
            return await preview(
                runtime.db,
                data,
                principal=principal,
                clock=runtime.clock,
                settings=config,
                idempotency_key=key,
                now=now,
                tell_again=tell_again,
            )

    found = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        _print_preview(found)
    return 0


def _print_preview(found: Preview) -> None:
    submitted = found.submitted
    if not submitted.created:
        click.echo(
            f"Dry run: it was accepted before and is {submitted.state}; nothing would change."
        )
        return
    becomes = _BECOMES.get(submitted.state, submitted.state.value)
    click.echo(f"Dry run, nothing was changed. {becomes}, lane {submitted.lane}.")
    for repair in submitted.repairs:
        click.echo(f"  repaired {repair.where}: {repair.what}")
    for note in (*submitted.notes, *found.odd):
        click.echo(f"  note: {note}")
    _people(found)
    for ended in found.ends:
        click.echo(f"  ends or replaces {ended}")
    for silence in found.silenced_by:
        click.echo(f"  silence {silence}")
    for shown in found.texts:
        size = f", {shown.sms.count} segments {shown.sms.encoding}" if shown.sms else ""
        read_in = ", ".join(shown.languages)
        click.echo(f"\n{shown.channel} to {shown.deliveries} ({read_in}{size}):")
        for line in filter(None, [shown.subject, *shown.text.splitlines()]):
            click.echo(f"    {line}")


def _people(found: Preview) -> None:
    count = f"{'more than ' if found.more else ''}{found.people}"
    count = f"fewer than {FEW}" if found.few else count
    click.echo(f"  {count} people in {found.area_km2:,.1f} km²")
    for how, number in sorted(found.hears.items(), reverse=True):
        click.echo(f"    {number} {_HOW[how]}")
    for title, numbers in (("channels", found.channels), ("languages", found.languages)):
        if numbers:
            listed = ", ".join(f"{name} {number}" for name, number in numbers.items())
            click.echo(f"  {title}: {listed}")
    if found.untranslated.count:
        click.echo(f"  {found.untranslated} read a language that no info is in")
    for (how, reason), number in found.reasons.items():
        click.echo(f"  {number} deliveries {_HOW[how]}: {sentence(reason)}")

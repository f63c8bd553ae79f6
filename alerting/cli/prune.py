"""`alerting prune`: delete old deliveries from the ledger."""

from __future__ import annotations

import asyncio
import json

import click

from alerting.addresses import database_url
from alerting.cli import common
from alerting.cli.database import actor
from alerting.cli.progress import progress
from alerting.clock import SystemClock
from alerting.dispatch.prune import Pruned, Pruner
from alerting.errors import AlertingError, BadInput, Unavailable
from alerting.settings import settings
from alerting.store.db import AWAY, Database

#: The number of events listed; the others are counted.
_SHOWN = 20


@click.command()
@click.option(
    "--older-than",
    metavar="DAYS",
    type=click.IntRange(1, 36_500),
    help="Events that ended this many days ago; default: ALERTING_RETENTION_DAYS.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; delete nothing.")
@common.as_json
def prune(older_than: int | None, dry_run: bool, as_json: bool) -> int:
    """Delete the deliveries of events that ended long ago, with their chunks and receipts.

    Alerts, the totals of their deliveries, the audit log and citizens stay. Whatever is in use
    stays, however old. It yields while an Extreme or Severe alert is in progress, may be
    interrupted at any moment, and continues on the next run. The scheduler runs it once a day.
    """
    days = older_than if older_than is not None else settings().retention_days
    if not days:
        raise BadInput(
            "ALERTING_RETENTION_DAYS is 0: nothing is ever deleted.",
            remedy="Give an age: --older-than DAYS.",
        )
    try:
        done = asyncio.run(_prune(days, dry_run=dry_run, quiet=as_json))
    except AlertingError:
        raise
    except AWAY as e:
        raise Unavailable(
            "The connection to PostgreSQL was lost.", remedy="Run it again: it goes on."
        ) from e
    if as_json:
        click.echo(json.dumps({"older_than_days": days, **done.to_json()}, indent=2))
    else:
        _print(done, days)
    return 0


async def _prune(days: int, *, dry_run: bool, quiet: bool) -> Pruned:
    bar = progress(quiet=quiet)
    db = Database(database_url(settings()))
    try:
        with bar:
            task = bar.add_task("looking", total=None)

            async def stand_aside(seconds: float) -> None:
                bar.update(task, description="waiting for a high-priority alert")
                await asyncio.sleep(seconds)

            pruner = Pruner(
                db,
                SystemClock(),
                progress=lambda n, total: bar.update(
                    task, description="deleting", completed=n, total=total
                ),
                pause=stand_aside,
                machine=SystemClock(),
            )
            async with db.begin() as connection:
                by = await actor(connection)
            return await pruner.run(days, actor=by, dry_run=dry_run)
    finally:
        await db.close()


def _print(done: Pruned, days: int) -> None:
    for e in done.events[:_SHOWN]:
        more = f" and {e.alerts - 1:,} more" if e.alerts > 1 else ""
        click.echo(f"  {e.began_at:%Y-%m-%d}  {e.identifier}{more}: {e.deliveries:,} deliveries")
    if len(done.events) > _SHOWN:
        click.echo(f"  and {len(done.events) - _SHOWN:,} more events")
    if done.dry_run:
        click.echo(
            f"Would delete {done.deliveries:,} deliveries of {done.alerts:,} alerts in "
            f"{len(done.events):,} events that ended more than {days:,} days ago. "
            "Nothing was changed."
        )
    else:
        click.echo(
            f"Deleted {done.deliveries:,} deliveries and {done.receipts:,} receipts of "
            f"{done.alerts:,} alerts in {len(done.events):,} events that ended more than {days:,} "
            f"days ago, and {done.alarms:,} closed alarms."
        )
    if done.in_use:
        click.echo(f"{done.in_use:,} events as old are still in use and stay.")

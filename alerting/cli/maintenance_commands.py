"""`alerting prune` and `reconcile`: delete old deliveries, and prepare a restored database."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path

import click

from alerting.addresses import database_url
from alerting.audience.stop_list import read
from alerting.bootstrap import Runtime
from alerting.channels import registry
from alerting.cli import common
from alerting.cli.common import progress
from alerting.cli.transaction import actor
from alerting.clock import SystemClock
from alerting.dispatch.plan import Planner
from alerting.dispatch.prune import Pruned, Pruner
from alerting.dispatch.reconcile import Reconciled, Reconciler
from alerting.errors import AlertingError, BadInput, Unavailable
from alerting.settings import settings
from alerting.store.citizens.stops import lineage as lineage_of
from alerting.store.db import AWAY, Database
from alerting.store.work.restored import reconciling

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
        _print_pruned(done, days)
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


def _print_pruned(done: Pruned, days: int) -> None:
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


@click.command()
@click.option("--since", required=True, help="When the backup was begun: 2026-11-01T06:00:00Z.")
@click.option(
    "--mail-log",
    type=click.Path(path_type=Path),
    help="The mail relay's whole log since then (Postfix, Sendmail).",
)
@click.option(
    "--resend",
    multiple=True,
    type=click.Choice(registry.names()),
    help="Resend, flagged, messages of this channel that cannot be looked up; in every lane.",
)
@click.option(
    "--stops",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A stop list that a scheduler kept (ALERTING_STOP_LIST); all of them.",
)
@click.option("--no-stops", is_flag=True, help="There is none: who left since is written to again.")
@click.option("--keep-keys", is_flag=True, help="No key was revoked since: keep all keys.")
@common.as_json
def reconcile(
    since: str,
    mail_log: Path | None,
    resend: tuple[str, ...],
    stops: tuple[Path, ...],
    no_stops: bool,
    keep_keys: bool,
    as_json: bool,
) -> int:
    """Find out what happened after the backup from which this database was restored.

    Until it has run, workers refuse to send and no key is accepted. It asks the SMS provider about
    every open message and reads the mail log; nobody is notified of anything. Stop lists say who
    unsubscribed since; every key is revoked. Stop the workers first.
    """
    begun = _instant(since)
    if bool(stops) == no_stops:
        raise BadInput(
            "People who said stop after the backup are not in it: they would be written to again.",
            remedy="Name every stop list by --stops FILE; say --no-stops where none was kept.",
        )

    # Before anything is opened: a mistyped name is reported at once.
    lines = _lines(mail_log) if mail_log is not None else None
    for path in stops:
        read(path, None)

    async def run() -> Reconciled:
        config = settings()
        config = config.model_copy(update={"database_url": reconciling(database_url(config))})
        async with Runtime.open(config) as runtime:
            async with runtime.db.begin() as connection:
                lineage = await lineage_of(connection)
            said = [change for path in stops for change in read(path, lineage)]
            async with runtime.routes() as routes:
                return await Reconciler(
                    runtime.db,
                    runtime.clock,
                    routes,
                    runtime.links,
                    config,
                    Planner(runtime.db, runtime.clock, runtime.notifier, config),
                    since=begun,
                    mail_log=lines,
                    resend=resend,
                    said=said,
                    keep_keys=keep_keys,
                ).run(actor=f"uid:{os.getuid()}")

    done = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(done.to_json(), indent=2))
        return 0
    click.echo(
        f"Reconciled. Of the deliveries open in the backup, {done.accepted:,} had been sent since, "
        f"{done.failed:,} had failed, {done.in_doubt:,} may have been sent and nobody can say, "
        f"{done.unsent:,} go out when workers start ({done.planned:,} were planned only now)."
    )
    if done.stops:
        click.echo(f"  {done.stops:,} had said stop or start since; this was applied.")
    if done.keys:
        click.echo(f"  {len(done.keys):,} keys were ended ({', '.join(done.keys)}): make new ones.")
    if done.people:
        click.echo(f"  may act: {', '.join(done.people)}; end whoever had left since")
    for alert in done.alerts:
        click.echo(f"  continues: alert {alert}; cancel it if it was cancelled after the backup")
    return 0


def _instant(words: str) -> datetime:
    try:
        at = datetime.fromisoformat(words)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadInput(
            f"{words!r} is no time with an offset.", remedy="Write it as 2026-11-01T06:00:00Z."
        )
    return at


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror}.", remedy="Name the log.") from e

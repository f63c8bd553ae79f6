"""`alerting reconcile`: after a restore, before any worker starts."""

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
from alerting.dispatch.plan import Planner
from alerting.dispatch.reconcile import Reconciled, Reconciler
from alerting.errors import BadInput
from alerting.settings import settings
from alerting.store.citizens.stops import lineage as lineage_of
from alerting.store.work.restored import reconciling


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
    help="Send what nobody can look up once more on this channel, flagged, in every lane.",
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

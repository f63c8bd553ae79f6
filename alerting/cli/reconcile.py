"""`alerting reconcile`: after a restore, before any worker starts."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path

import click

from alerting.addresses import database_url
from alerting.bootstrap import Runtime
from alerting.cli import options
from alerting.cli.database import actor
from alerting.dispatch.plan import Planner
from alerting.dispatch.reconcile import Reconciled, Reconciler
from alerting.errors import BadInput
from alerting.settings import settings
from alerting.store.restored import reconciling


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
    type=click.Choice(["sms", "email", "push"]),
    help="Send what nobody can look up once more on this channel, flagged, in every lane.",
)
@options.as_json
def reconcile(since: str, mail_log: Path | None, resend: tuple[str, ...], as_json: bool) -> int:
    """Find out what was sent after the backup that this database was restored from.

    Until it has run, workers refuse to send. Asks the SMS provider for every open message and
    reads the mail log; nobody is told anything. Stop the workers first.
    """
    begun = _instant(since)

    async def run() -> Reconciled:
        config = settings()
        config = config.model_copy(update={"database_url": reconciling(database_url(config))})
        lines = _lines(mail_log) if mail_log is not None else None
        async with Runtime.open(config) as runtime, runtime.routes() as routes:
            async with runtime.db.begin() as connection:
                by = await actor(connection)
            return await Reconciler(
                runtime.db,
                runtime.clock,
                routes,
                runtime.links,
                config,
                Planner(runtime.db, runtime.clock, runtime.doorbell, config),
                since=begun,
                mail_log=lines,
                resend=resend,
            ).run(actor=by)

    done = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(done.to_json(), indent=2))
        return 0
    click.echo(
        f"Reconciled. Of what the backup called open, {done.accepted:,} had been sent since, "
        f"{done.failed:,} had failed, {done.in_doubt:,} may have been sent and nobody can say, "
        f"{done.unsent:,} go out when workers start ({done.planned:,} were planned only now)."
    )
    for alert in done.alerts:
        click.echo(f"  goes on: alert {alert}; cancel it if it was cancelled after the backup")
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

"""`alerting migrate`, `alive` and `alarms`: start and monitor an installation."""

from __future__ import annotations

import json

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.addresses import database_url
from alerting.cli import common
from alerting.cli.common import shown
from alerting.cli.transaction import actor, do
from alerting.errors import WorkFailed
from alerting.settings import settings
from alerting.store import audit_log
from alerting.store.admin import stored_alarms as alarm_store
from alerting.store.admin.stored_alarms import Alarm
from alerting.store.work.presence import DUTIES, on_duty, this_host


@click.command()
def migrate() -> int:
    """Migrate the database to this version's schema.

    Works on DATABASE_URL or the running embedded database; when neither is available, it starts the
    embedded one for the duration.
    """
    # A health check runs `alive` every half minute, and needs none of it.
    from alerting.embedded import engines
    from alerting.store.migrate import migrate as bring_to_head

    config = settings()
    if config.embedded_database and engines.find(config.var) is None:
        with engines.start(config.var, with_redis=False) as running:
            before, now = bring_to_head(running.database_url)
    else:
        before, now = bring_to_head(database_url(config))
    click.echo(
        f"The schema is at {now} already." if before == now else f"Schema: {before} → {now}."
    )
    return 0


@click.command()
@click.argument("duties", nargs=-1, required=True, type=click.Choice(DUTIES))
def alive(duties: tuple[str, ...]) -> int:
    """Check that this machine has a process for each of these lanes, or the scheduler.

    For health checks of containers. The exit code is 1 when one is missing.
    """
    here = this_host()
    found = {f.duty for f in do(on_duty) if f.host == here}
    if missing := [duty for duty in duties if duty not in found]:
        raise WorkFailed(f"Nothing on {here} serves {', '.join(missing)}.")
    click.echo(f"{here} serves {', '.join(duties)}.")
    return 0


@click.group(invoke_without_command=True)
@common.as_json
@click.pass_context
def alarms(context: click.Context, as_json: bool) -> int:
    """Show what is wrong now. The exit code is 1 while anything is."""
    if context.invoked_subcommand is not None:
        return 0
    found = do(alarm_store.open_alarms)
    if as_json:
        click.echo(json.dumps({"alarms": [a.to_json() for a in found]}))
    for alarm in () if as_json else found:
        click.echo(
            f"{alarm.id:>5}  {shown(alarm.opened_at)}  {alarm.kind} {alarm.subject}"
            f"{f' ({alarm.count} times)' if alarm.count > 1 else ''}\n       {alarm.sentence}"
        )
    if not found and not as_json:
        click.echo("Nothing is wrong.")
    return 1 if found else 0


@alarms.command()
@click.argument("alarm", type=click.IntRange(1))
@common.as_json
def close(alarm: int, as_json: bool) -> int:
    """Close ALARM because it has been dealt with; it opens again when it recurs."""

    async def run(connection: AsyncConnection) -> Alarm:
        by = await actor(connection)
        found = await alarm_store.close_one(connection, alarm, by=by)
        await audit_log.record(connection, by, "alarm.close", str(alarm))
        return found

    found = do(run)
    click.echo(json.dumps(found.to_json()) if as_json else f"Closed: {found.kind} {found.subject}.")
    return 0

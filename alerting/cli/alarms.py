"""`alerting alarms`: what is wrong with this system and needs somebody."""

from __future__ import annotations

import json

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import common
from alerting.cli.common import shown
from alerting.cli.database import actor, do
from alerting.store import audit_log
from alerting.store.admin import stored_alarms as store
from alerting.store.admin.stored_alarms import Alarm


@click.group(invoke_without_command=True)
@common.as_json
@click.pass_context
def alarms(context: click.Context, as_json: bool) -> int:
    """Show what is wrong now. Exits 1 while anything is."""
    if context.invoked_subcommand is not None:
        return 0
    found = do(store.open_alarms)
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
        found = await store.close_one(connection, alarm, by=by)
        await audit_log.record(connection, by, "alarm.close", str(alarm))
        return found

    found = do(run)
    click.echo(json.dumps(found.to_json()) if as_json else f"Closed: {found.kind} {found.subject}.")
    return 0

"""`alerting approve`: a second person approves a held alert."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import click

from alerting.bootstrap import Runtime
from alerting.cli import options
from alerting.cli.database import acting
from alerting.dispatch.intake.approve import approve as approve_alert
from alerting.settings import settings
from alerting.store import alerts


@click.command()
@click.argument("alert")
@options.as_json
def approve(alert: str, as_json: bool) -> int:
    """Approve ALERT (its id or CAP identifier), which is held for a second person."""

    async def run() -> tuple[UUID, bool]:
        async with Runtime.open(settings()) as runtime:
            async with runtime.db.begin() as connection:
                principal = await acting(connection)
                alert_id = await alerts.resolve(connection, alert)
            return alert_id, await approve_alert(
                runtime.db, runtime.doorbell, alert_id, principal=principal, clock=runtime.clock
            )

    alert_id, new = asyncio.run(run())
    if as_json:
        click.echo(json.dumps({"id": str(alert_id), "approved": True, "created": new}))
    else:
        click.echo(f"{'Approved' if new else 'Approved before'}: alert {alert_id}.")
    return 0

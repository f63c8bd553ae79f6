"""`alerting approve` and `alerting cancel`: a second person approves an alert, or it is ended."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import click

from alerting.bootstrap import Runtime
from alerting.cli import common
from alerting.cli.database import acting
from alerting.dispatch.intake.approve import approve as approve_alert
from alerting.dispatch.intake.cancel import Cancelled, revoke_all
from alerting.dispatch.intake.cancel import cancel as cancel_alert
from alerting.settings import settings
from alerting.store.alerts import stored_alerts


@click.command()
@click.argument("alert")
@common.as_json
def approve(alert: str, as_json: bool) -> int:
    """Approve ALERT (its id or CAP identifier), which is held for a second person."""

    async def run() -> tuple[UUID, bool]:
        async with Runtime.open(settings()) as runtime:
            async with runtime.db.begin() as connection:
                principal = await acting(connection)
                alert_id = await stored_alerts.resolve(connection, alert)
            return alert_id, await approve_alert(
                runtime.db, runtime.notifier, alert_id, principal=principal, clock=runtime.clock
            )

    alert_id, new = asyncio.run(run())
    if as_json:
        click.echo(json.dumps({"id": str(alert_id), "approved": True, "created": new}))
    else:
        click.echo(f"{'Approved' if new else 'Approved before'}: alert {alert_id}.")
    return 0


@click.command()
@click.argument("alert")
@click.option("--reason", default="", help="Why, in the citizens' words; they will read it.")
@click.option("--false-alarm", is_flag=True, help="Say that there was never any danger.")
@click.option("--dry-run", is_flag=True, help="Say whom it would reach, and change nothing.")
@click.option("--key", help="Idempotency key: the same key never cancels twice.")
@common.as_json
def cancel(
    alert: str, reason: str, false_alarm: bool, dry_run: bool, key: str | None, as_json: bool
) -> int:
    """End ALERT (its id or CAP identifier) at once and notify those who were told of the danger.

    An identifier ends every live alert that has it. Nobody else is notified, and nobody for whom
    another alert of the same event is in force. What was not sent yet is revoked.
    """
    config = settings()

    async def run() -> None:
        async with Runtime.open(config) as runtime:
            async with runtime.db.begin() as connection:
                principal = await acting(connection)
                alert_id, *also = await stored_alerts.standing(connection, alert)
            done = await cancel_alert(
                runtime.db,
                alert_id,
                also=also,
                principal=principal,
                clock=runtime.clock,
                notifier=runtime.notifier,
                reason=reason,
                false_alarm=false_alarm,
                dry_run=dry_run,
                idempotency_key=key,
                valid_s=config.default_expiry_s,
            )
            click.echo(json.dumps(done.to_json(), indent=2) if as_json else _words(done))
            if not done.dry_run:
                await revoke_all(runtime.db, runtime.clock, done.ended)

    asyncio.run(run())
    return 0


def _words(done: Cancelled) -> str:
    if done.dry_run and done.ended:
        theirs = _notified(done, "would be")
        return f"Would cancel alert {done.alert_id}. {theirs} Nothing was changed."
    if done.notice is None or not done.notice.created:
        how = f"{done.state} {done.reason}".strip()
        return f"Already ended: alert {done.alert_id} ({how}). Nothing was sent."
    theirs = f" Their notice is alert {done.notice.alert_id}." if done.citizens else ""
    return f"Cancelled: alert {done.alert_id}. {_notified(done, 'are')}{theirs}"


def _notified(done: Cancelled, verb: str) -> str:
    if not done.citizens:
        return f"It had reached nobody, so nobody {'would be' if verb != 'are' else 'is'} notified."
    counts = ", ".join(f"{n:,} by {channel}" for channel, n in done.reached.items())
    waiting = [
        f"{s.citizens:,} of them are not notified while alert {s.identifier} of {s.sender} is live "
        f"(alerting cancel {s.alert_id})."
        for s in done.standing
    ]
    notified = f"{done.citizens:,} citizens it had reached {verb} notified: {counts}."
    return " ".join([notified, *waiting])

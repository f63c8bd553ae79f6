"""`alerting cancel`: end an alert with one command and without a prompt."""

from __future__ import annotations

import asyncio
import json

import click

from alerting.bootstrap import Runtime
from alerting.cli import options
from alerting.cli.database import acting
from alerting.dispatch.intake.cancel import Cancelled, call_back_all
from alerting.dispatch.intake.cancel import cancel as cancel_alert
from alerting.settings import settings
from alerting.store import alerts


@click.command()
@click.argument("alert")
@click.option("--reason", default="", help="Why, in the citizens' words; they will read it.")
@click.option("--false-alarm", is_flag=True, help="Say that there was never any danger.")
@click.option("--dry-run", is_flag=True, help="Say whom it would reach, and change nothing.")
@click.option("--key", help="Idempotency key: the same key never cancels twice.")
@options.as_json
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
                alert_id, *also = await alerts.standing(connection, alert)
            done = await cancel_alert(
                runtime.db,
                alert_id,
                also=also,
                principal=principal,
                clock=runtime.clock,
                doorbell=runtime.doorbell,
                reason=reason,
                false_alarm=false_alarm,
                dry_run=dry_run,
                idempotency_key=key,
                valid_s=config.default_expiry_s,
            )
            click.echo(json.dumps(done.to_json(), indent=2) if as_json else _words(done))
            if not done.dry_run:
                await call_back_all(runtime.db, runtime.clock, done.ended)

    asyncio.run(run())
    return 0


def _words(done: Cancelled) -> str:
    if done.dry_run and done.ended:
        theirs = _told(done, "would be")
        return f"Would cancel alert {done.alert_id}. {theirs} Nothing was changed."
    if done.notice is None or not done.notice.created:
        how = f"{done.state} {done.reason}".strip()
        return f"Already ended: alert {done.alert_id} ({how}). Nothing was sent."
    theirs = f" Their notice is alert {done.notice.alert_id}." if done.citizens else ""
    return f"Cancelled: alert {done.alert_id}. {_told(done, 'are')}{theirs}"


def _told(done: Cancelled, verb: str) -> str:
    if not done.citizens:
        return f"It had reached nobody, so nobody {'would be' if verb != 'are' else 'is'} notified."
    counts = ", ".join(f"{n:,} by {channel}" for channel, n in done.reached.items())
    waiting = [
        f"{s.citizens:,} of them are not notified while alert {s.identifier} of {s.sender} is live "
        f"(alerting cancel {s.alert_id})."
        for s in done.standing
    ]
    told = f"{done.citizens:,} citizens it had reached {verb} notified: {counts}."
    return " ".join([told, *waiting])

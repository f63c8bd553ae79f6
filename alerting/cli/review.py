"""`alerting list`, `approve` and `cancel`: find alerts, and decide on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import common
from alerting.cli.common import instant
from alerting.cli.transaction import acting, do
from alerting.dispatch.listing import MOST, Page, Wanted, area_of, page
from alerting.domain.alert import Status
from alerting.domain.alert_state import AlertState
from alerting.settings import settings
from alerting.store.alerts import stored_alerts
from alerting.store.alerts.stored_alerts import StoredAlert

if TYPE_CHECKING:
    from alerting.dispatch.intake.cancel import Cancelled


@click.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([s.value for s in AlertState]),
    help="Only these; may be given several times.",
)
@click.option("--sender", help="Only of this sender.")
@click.option("--at", help="Only with an area that has this point, like 54.5,2.5.")
@click.option("--geocode", help="Only with an area that has it, like EMMA_ID=ES104.")
@click.option("--since", help="Sent from then on, like 2026-11-01T18:00:00+01:00.")
@click.option("--until", help="Sent before then.")
@click.option("--limit", type=click.IntRange(1, MOST), default=20, show_default=True)
@click.option("--after", help="Continue after a page: the cursor in its last line.")
@common.as_json
def list_(
    states: tuple[str, ...],
    sender: str | None,
    at: str | None,
    geocode: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> int:
    """List alerts, the latest sent first. --state held shows what waits for a second person."""
    wanted = Wanted(
        [AlertState(s) for s in states],
        sender,
        None if since is None else instant(since, "--since"),
        None if until is None else instant(until, "--until"),
        area_of(at, geocode),
    )

    async def run(connection: AsyncConnection) -> Page:
        return await page(connection, wanted, after=after, limit=limit)

    found = do(run)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return 0
    for one in found.alerts:
        for line in _lines(one):
            click.echo(line)
    if found.next is not None:
        click.echo(f"More: --after {found.next}")
    elif not found.alerts:
        click.echo("No alerts." if after is None else "No more alerts.")
    return 0


def _lines(one: dict[str, Any]) -> Iterator[str]:
    mark = "" if one["status"] == Status.ACTUAL else f"{one['status'].upper()}: "
    sent = datetime.fromisoformat(one["sent"])
    what = f"{one['severity']}, {one['event'] or one['msg_type']}"
    yield f"{sent:%Y-%m-%d %H:%M %Z}  {one['state']:10} {mark}{what}"
    people = "" if one["audience"] is None else f", {one['audience']:,} people in its areas"
    yield f"    {one['id']}  {one['identifier']} of {one['sender']}{people}"
    if one["state_reason"]:
        yield f"    {one['state_reason']}"


@click.command()
@click.argument("alert")
@common.as_json
def approve(alert: str, as_json: bool) -> int:
    """Approve ALERT (its id or CAP identifier), which is held for a second person."""
    # `list` is in this file and needs none of it.
    from alerting.bootstrap import Runtime
    from alerting.dispatch.intake.approve import approve as approve_alert

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
    from alerting.bootstrap import Runtime
    from alerting.dispatch.intake.cancel import cancel as cancel_alert
    from alerting.dispatch.intake.cancel import revoke_all

    config = settings()

    async def run() -> None:
        async with Runtime.open(config) as runtime:
            async with runtime.db.begin() as connection:
                principal = await acting(connection)
                alert_id, *also = await stored_alerts.live_of_name(connection, alert)
                stored = await stored_alerts.get(connection, alert_id)
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
            click.echo(json.dumps(done.to_json(), indent=2) if as_json else _words(done, stored))
            if not done.dry_run:
                await revoke_all(runtime.db, runtime.clock, done.ended)

    asyncio.run(run())
    return 0


def _words(done: Cancelled, stored: StoredAlert | None) -> str:
    # By an id nobody sees that it is the wrong alert.
    what = f"alert {done.alert_id}"
    if stored is not None:
        events = ", ".join(dict.fromkeys(info["event"] for info in stored.infos))
        what += f" ({events or 'no event'}: {stored.identifier} of {stored.sender})"
    if done.dry_run and done.ended:
        theirs = _notified(done, "would be")
        return f"Would cancel {what}. {theirs} Nothing was changed."
    if done.notice is None or not done.notice.created:
        how = f"{done.state} {done.reason}".strip()
        return f"Already ended: alert {done.alert_id} ({how}). Nothing was sent."
    theirs = f" Their notice is alert {done.notice.alert_id}." if done.citizens else ""
    return f"Cancelled: {what}. {_notified(done, 'are')}{theirs}"


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

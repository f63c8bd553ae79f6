"""`alerting submit`, `status` and `why`: what a coordinator does with an alert."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alerting.cli import common
from alerting.cli.transaction import acting, actor, do
from alerting.dispatch.status import AlertStatus
from alerting.dispatch.status import status as read_status
from alerting.domain.alert_state import ENDED, AlertState
from alerting.errors import BadInput
from alerting.settings import settings
from alerting.store import audit_log
from alerting.store.alerts import stored_alerts
from alerting.store.db import server_now

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from alerting.dispatch.evaluation.explain import Explained
    from alerting.dispatch.intake.submit import Submitted


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--wait", is_flag=True, help="Follow the alert until everyone is notified.")
@click.option("--now", is_flag=True, help="Move the alert's times so that it is sent now.")
@click.option(
    "--tell-again", is_flag=True, help="Interrupt also citizens notified of its thread before."
)
@click.option("--dry-run", is_flag=True, help="Say whom it would reach and how; change nothing.")
@click.option("--key", help="Idempotency key: the same key never submits twice.")
@common.as_json
def submit(
    file: str,
    wait: bool,
    now: bool,
    tell_again: bool,
    dry_run: bool,
    key: str | None,
    as_json: bool,
) -> int:
    """Send the CAP alert in FILE (- for standard input) to the citizens in its area.

    With --wait the exit code is 1 when nobody was notified, or nobody will be.
    """
    data = _read(file)
    if dry_run:
        from alerting.cli.preview_output import show_preview

        return show_preview(data, now=now, tell_again=tell_again, key=key, as_json=as_json)
    submitted, after = asyncio.run(
        _submit(data, wait=wait, now=now, tell_again=tell_again, key=key, quiet=as_json)
    )
    if as_json:
        document = submitted.to_json() | ({"status": after.to_json()} if after else {})
        click.echo(json.dumps(document, indent=2))
    elif after is not None:
        from alerting.cli.alert_output import print_status

        print_status(after)
    if after is not None and not after.settled and after.state != AlertState.HELD:
        click.echo(
            "No worker runs, so nobody is notified. Start one (`alerting up`, or docs/runbooks/"
            "start.md): the alert waits for it until it expires.",
            err=True,
        )
    # With --wait the user wants to know that citizens were notified.
    notified = after is not None and after.settled and not after.unheard
    return 1 if wait and (submitted.ends_nothing or not notified) else 0


@click.command()
@click.argument("alert")
@common.as_json
def status(alert: str, as_json: bool) -> int:
    """Show the progress of ALERT (its id or CAP identifier)."""

    async def read(connection: AsyncConnection) -> AlertStatus:
        return await read_status(connection, await stored_alerts.resolve(connection, alert))

    found = do(read)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        from alerting.cli.alert_output import print_status

        print_status(found)
    return 0


@click.command()
@click.argument("alert")
@click.argument("citizen")
@common.as_json
def why(alert: str, citizen: str, as_json: bool) -> int:
    """Show why CITIZEN (their register key) was or was not notified of ALERT.

    The audit log records who asked, even when there is no such citizen.
    """

    from alerting.dispatch.evaluation.explain import explain

    async def look(connection: AsyncConnection) -> UUID:
        alert_id = await stored_alerts.resolve(connection, alert)
        by = await actor(connection)
        await audit_log.record(connection, by, "alert.why", str(alert_id), {"citizen": citizen})
        return alert_id

    async def read(connection: AsyncConnection) -> list[Explained]:
        return await explain(connection, alert_id, citizen, now=await server_now(connection))

    # Not in one transaction: the audit also records a citizen who does not exist.
    alert_id = do(look)
    found = do(read)
    if as_json:
        lines = [one.to_json() for one in found]
        click.echo(json.dumps({"alert": alert, "citizen": citizen, "lines": lines}, indent=2))
        return 0
    for one in found:
        click.echo(f"{one.channel or '-':6} {one.state:10} {one.sentence}")
        if one.before:
            click.echo(f"       the citizen's belief: {one.before} → {one.after}")
        for rule in one.rules:
            click.echo(f"  {'→' if rule.decides else ' '} {rule.question:56} {rule.answer}")
    return 0


def _read(file: str) -> bytes:
    limit = settings().max_alert_bytes
    try:
        if file == "-":
            return sys.stdin.buffer.read(limit + 1)
        with Path(file).open("rb") as f:
            return f.read(limit + 1)
    except OSError as e:
        raise BadInput(
            f"{file} cannot be read: {e.strerror or e}.", remedy="Check the path and its rights."
        ) from e


async def _submit(
    data: bytes, *, wait: bool, now: bool, tell_again: bool, key: str | None, quiet: bool
) -> tuple[Submitted, AlertStatus | None]:
    # `status` is in this file and needs none of it.
    from alerting.bootstrap import Runtime
    from alerting.dispatch.intake.submit import submit as submit_alert

    config = settings()
    async with Runtime.open(config) as runtime:
        async with runtime.db.begin() as connection:
            principal = await acting(connection)
        submitted = await submit_alert(
            runtime.db,
            data,
            principal=principal,
            clock=runtime.clock,
            notifier=runtime.notifier,
            idempotency_key=key,
            max_bytes=config.max_alert_bytes,
            default_expiry_s=config.default_expiry_s,
            drill_roster_max=config.drill_roster_max,
            all_channels_lanes=config.all_channels_lanes,
            now=now,
            tell_again=tell_again,
        )
        if not quiet:
            _print_answer(submitted)
        # A held alert is decided by a person; it makes no sense to wait for that here.
        if not wait or submitted.state in {AlertState.HELD, *ENDED}:
            return submitted, None
        from alerting.cli.alert_output import follow

        return submitted, await follow(runtime.db, submitted.alert_id, quiet=quiet)


def _print_answer(submitted: Submitted) -> None:
    held = submitted.state is AlertState.HELD
    word = "Held" if held else "Accepted" if submitted.created else "Accepted before"
    click.echo(f"{word}: alert {submitted.alert_id}, lane {submitted.lane}.")
    for repair in submitted.repairs:
        click.echo(f"  repaired {repair.where}: {repair.what}")
    for note in submitted.notes:
        click.echo(f"  note: {note}")

"""`alerting list`: find alerts, above all those that wait for a second person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import common
from alerting.cli.common import instant
from alerting.cli.database import do
from alerting.dispatch.listing import MOST, Page, Wanted, area_of, page
from alerting.domain.alert import Status
from alerting.domain.alert_state import AlertState


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

"""`alerting event`: which alerts are about one event, when the throttle was not sure."""

from __future__ import annotations

import json
from dataclasses import asdict
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import options
from alerting.cli.database import do, do_as
from alerting.domain.principal import Principal
from alerting.store import alerts, events


@click.group()
def event() -> None:
    """Decide which alerts of several senders are about one danger."""


@event.command()
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@options.as_json
def questions(limit: int, as_json: bool) -> int:
    """Show open questions about events; until they are answered nothing is withheld because of
    them."""
    found = do(lambda c: events.open_questions(c, limit=limit))
    if as_json:
        rows = [asdict(q) for q in found]
        click.echo(json.dumps({"questions": rows}, indent=2, default=str))
        return 0
    for q in found:
        click.echo(f"{q.identifier} of {q.sender}: like event {q.event_id} ({q.score:.2f})")
        click.echo(f"    {q.sentence}")
        click.echo(f"    alerting event merge {q.alert_id} OTHER, or split {q.alert_id}")
    if not found:
        click.echo("No question is open.")
    return 0


@event.command()
@click.argument("alert")
@click.argument("other")
@options.as_json
def merge(alert: str, other: str, as_json: bool) -> int:
    """Declare that ALERT and OTHER are about one event."""

    async def work(connection: AsyncConnection, principal: Principal) -> UUID:
        one = await alerts.resolve(connection, alert)
        another = await alerts.resolve(connection, other)
        return await events.join(connection, one, another, by=principal.actor)

    _say(do_as("approve", work), as_json)
    return 0


@event.command()
@click.argument("alert")
@options.as_json
def split(alert: str, as_json: bool) -> int:
    """Declare that ALERT, with what it references, is an event of its own."""

    async def work(connection: AsyncConnection, principal: Principal) -> UUID:
        one = await alerts.resolve(connection, alert)
        return await events.part(connection, one, by=principal.actor)

    _say(do_as("approve", work), as_json)
    return 0


def _say(event_id: UUID, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"event": str(event_id)}))
    else:
        click.echo(f"It is event {event_id}.")

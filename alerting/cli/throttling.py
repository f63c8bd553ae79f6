"""`alerting event` and `alerting silence`: what coordinators decide about the throttle."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import common
from alerting.cli.common import instant, shown, span
from alerting.cli.transaction import do, do_as
from alerting.clock import SystemClock
from alerting.dispatch.evaluation import silences
from alerting.domain.principal import Principal
from alerting.errors import BadInput
from alerting.store.admin import stored_silences as store
from alerting.store.admin.stored_silences import StoredSilence
from alerting.store.alerts import stored_alerts, stored_events
from alerting.throttle.silence.matcher import Matcher


@click.group()
def event() -> None:
    """Decide which alerts of several senders are about one danger."""


@event.command()
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@common.as_json
def questions(limit: int, as_json: bool) -> int:
    """Show open questions about events; until they are answered they withhold nothing."""
    found = do(lambda c: stored_events.open_questions(c, limit=limit))
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
@common.as_json
def merge(alert: str, other: str, as_json: bool) -> int:
    """Declare that ALERT and OTHER are about one event."""

    async def work(connection: AsyncConnection, principal: Principal) -> UUID:
        one = await stored_alerts.resolve(connection, alert)
        another = await stored_alerts.resolve(connection, other)
        return await stored_events.join(connection, one, another, by=principal.actor)

    _say(do_as("approve", work), as_json)
    return 0


@event.command()
@click.argument("alert")
@common.as_json
def split(alert: str, as_json: bool) -> int:
    """Declare that ALERT, with what it references, is an event of its own."""

    async def work(connection: AsyncConnection, principal: Principal) -> UUID:
        one = await stored_alerts.resolve(connection, alert)
        return await stored_events.part(connection, one, by=principal.actor)

    _say(do_as("approve", work), as_json)
    return 0


def _say(event_id: UUID, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"event": str(event_id)}))
    else:
        click.echo(f"It is event {event_id}.")


@click.group()
def silence() -> None:
    """Manage silences. Extreme alerts and the end of a danger always interrupt."""


@silence.command()
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER…")
@click.option("--comment", required=True, help="Why; others read it.")
@click.option("--for", "lasting", help="How long, like 90m, 2h or 3d.")
@click.option("--until", help="When it ends, like 2026-11-01T18:00:00+01:00.")
@click.option("--from", "start", help="When it starts; default: now.")
@click.option("--polygon", "polygons", multiple=True, help="Only there: 'lat,lon lat,lon …'.")
@click.option("--circle", "circles", multiple=True, help="Only there: 'lat,lon km'.")
@click.option("--geocode", "geocodes", multiple=True, help="Only there: NAME=VALUE.")
@common.as_json
def add(
    matchers: tuple[str, ...],
    comment: str,
    lasting: str | None,
    until: str | None,
    start: str | None,
    polygons: tuple[str, ...],
    circles: tuple[str, ...],
    geocodes: tuple[str, ...],
    as_json: bool,
) -> int:
    """Silence alerts that fit every MATCHER, for at most seven days.

    A matcher compares a field of CAP: event=Flood, sender!=a@example.org, event~Flood.* (a regular
    expression for the whole text), geocode:UGC!~XXC.*. An area silences the areas it touches.
    """
    now = SystemClock().now()
    starts_at = instant(start, "--from") if start else now
    if (lasting is None) == (until is None):
        raise BadInput("A silence needs its end.", remedy="Give --for or --until.")
    ends_at = instant(until, "--until") if until else starts_at + span(lasting or "")
    wanted = [Matcher.parse(m) for m in matchers]
    area = _area(polygons, circles, geocodes)
    found = do_as(
        "silence",
        lambda c, principal: silences.add(
            c,
            matchers=wanted,
            area=area,
            starts_at=starts_at,
            ends_at=ends_at,
            comment=comment,
            by=principal.actor,
            now=now,
        ),
    )
    if as_json:
        click.echo(json.dumps(silences.to_json(found), indent=2))
    else:
        click.echo(f"Silenced until {shown(found.ends_at)}: {found.id}")
    return 0


@silence.command("list")
@click.option("--all", "over", is_flag=True, help="Those that are over as well.")
@common.as_json
def list_(over: bool, as_json: bool) -> int:
    """Show the silences in force or to come, newest first."""
    now = SystemClock().now()
    found = do(lambda c: store.every(c, now=now, over=over))
    if as_json:
        click.echo(json.dumps({"silences": [silences.to_json(s) for s in found]}, indent=2))
    for s in [] if as_json else found:
        what = " ".join(f"{m['field']}{m['op']}{m['value']}" for m in s.matchers)
        where = " (in an area)" if s.area else ""
        click.echo(f"{str(s.id)[:8]}  {_state(s, now):24}  {what}{where}  {s.comment}")
    return 0


@silence.command()
@click.argument("silence_id", metavar="ID")
@common.as_json
def end(silence_id: str, as_json: bool) -> int:
    """End the silence ID (or the beginning of its id) at once; it stays on record."""
    now = SystemClock().now()
    found = do_as("silence", lambda c, p: store.end(c, silence_id, by=p.actor, now=now))
    click.echo(
        json.dumps(silences.to_json(found), indent=2) if as_json else f"{found.id} has ended."
    )
    return 0


def _state(s: StoredSilence, now: datetime) -> str:
    if s.ended_at is not None:
        return f"ended {shown(s.ended_at)}"
    if s.ends_at <= now:
        return "over"
    if s.starts_at > now:
        return f"from {shown(s.starts_at)}"
    return f"until {shown(s.ends_at)}"


def _area(
    polygons: tuple[str, ...], circles: tuple[str, ...], geocodes: tuple[str, ...]
) -> dict[str, Any] | None:
    pairs = []
    for text in geocodes:
        name, sep, value = text.partition("=")
        if not (name and sep and value):
            raise BadInput(f"{text[:80]!r} is no geocode.", remedy="Write NAME=VALUE.")
        pairs.append({"valueName": name, "value": value})
    parts = {"polygon": list(polygons), "circle": list(circles), "geocode": pairs}
    return {k: v for k, v in parts.items() if v} or None

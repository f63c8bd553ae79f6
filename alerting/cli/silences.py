"""`alerting silence`: keep alerts from interrupting, for a limited time."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from alerting.cli import options
from alerting.cli.database import do, do_as
from alerting.cli.times import instant, shown, span
from alerting.clock import SystemClock
from alerting.dispatch.judging import silences
from alerting.errors import BadInput
from alerting.store import silences as store
from alerting.store.silences import StoredSilence
from alerting.throttle.silence.matcher import Matcher


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
@options.as_json
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
@options.as_json
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
@options.as_json
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

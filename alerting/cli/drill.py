"""`alerting drill`: who takes part in drills."""

from __future__ import annotations

import json

import click

from alerting.cli import common
from alerting.cli.transaction import as_operator, do
from alerting.drills import rosters
from alerting.store.citizens import roster_rows as store


@click.group()
def drill() -> None:
    """Manage drills, alerts that are not real, and who takes part in them."""


@drill.group()
def roster() -> None:
    """Manage rosters: a drill reaches only their members, each with their own consent."""


@roster.command()
@click.argument("name")
@common.as_json
def create(name: str, as_json: bool) -> int:
    """Create an empty roster; alerts name it in their `addresses`."""
    as_operator(lambda c, by: rosters.create(c, name, by=by))
    _say({"roster": name}, f"Roster {name} is there.", as_json=as_json)
    return 0


@roster.command()
@click.argument("name")
@click.argument("citizens", nargs=-1, required=True, metavar="CITIZEN…")
@click.option("--source", default="", help="Where they consented to drills.")
@common.as_json
def add(name: str, citizens: tuple[str, ...], source: str, as_json: bool) -> int:
    """Enrol citizens, by their register key, who have consented to drills.

    Former members must have consented again: say where with --source.
    """
    added = as_operator(lambda c, by: rosters.add(c, name, citizens, source=source, by=by))
    _say({"roster": name, "added": added}, f"{added:,} joined {name}.", as_json=as_json)
    return 0


@roster.command()
@click.argument("name")
@click.argument("citizens", nargs=-1, required=True, metavar="CITIZEN…")
@common.as_json
def remove(name: str, citizens: tuple[str, ...], as_json: bool) -> int:
    """End memberships at once, also for messages being sent. Real alerts are not affected."""
    removed = as_operator(lambda c, by: rosters.remove(c, name, citizens, by=by))
    _say({"roster": name, "removed": removed}, f"{removed:,} left {name}.", as_json=as_json)
    return 0


@roster.command("list")
@click.argument("name", required=False)
@common.as_json
def list_(name: str | None, as_json: bool) -> int:
    """Show all rosters, or the present and former members of the roster NAME."""
    if name is None:
        found = do(store.listing)
        if as_json:
            click.echo(json.dumps({"rosters": [r.to_json() for r in found]}, indent=2))
        for r in [] if as_json else found:
            unready = f", {r.unready:,} addresses not ready yet" if r.unready else ""
            click.echo(f"{r.name:24} {r.members:,} members, {r.left:,} have left{unready}")
        return 0
    wanted = name
    members = do(lambda c: rosters.members(c, wanted))
    if as_json:
        document = {"roster": wanted, "members": [m.to_json() for m in members]}
        click.echo(json.dumps(document, indent=2))
    for m in [] if as_json else members:
        end = f", left {m.left_at:%Y-%m-%d}" if m.left_at else ""
        click.echo(f"{m.citizen:24} since {m.consent_at:%Y-%m-%d}{end}  {m.source}")
    return 0


def _say(document: dict[str, object], words: str, *, as_json: bool) -> None:
    click.echo(json.dumps(document) if as_json else words)

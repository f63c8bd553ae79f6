"""`alerting keys`: who may use the API."""

from __future__ import annotations

import json

import click

from alerting.cli import options
from alerting.cli.database import actor, do
from alerting.store import keys as store


@click.group()
def keys() -> None:
    """The keys of programs that use the API."""


@keys.command()
@click.argument("name")
@click.option(
    "--right",
    "rights",
    multiple=True,
    default=store.USUAL_RIGHTS,
    show_default=True,
    help="What it may do; may be repeated.",
)
@options.as_json
def create(name: str, rights: tuple[str, ...], as_json: bool) -> int:
    """Make a key for NAME and show it, for the only time."""
    key = do(lambda c: store.create(c, name, rights, actor=actor()))
    if as_json:
        click.echo(json.dumps({"name": name, "rights": list(rights), "key": key}))
    else:
        click.echo(key)
        click.echo("Keep it now: it is not stored and cannot be shown again.", err=True)
    return 0


@keys.command("list")
@options.as_json
def list_(as_json: bool) -> int:
    """Show every key, without its secret."""
    found = do(store.every)
    if as_json:
        rows = [
            {
                "name": k.name,
                "prefix": k.prefix,
                "rights": list(k.rights),
                "created_at": k.created_at.isoformat(),
                "revoked_at": k.revoked_at.isoformat() if k.revoked_at else None,
            }
            for k in found
        ]
        click.echo(json.dumps({"keys": rows}))
        return 0
    for k in found:
        state = f"revoked {k.revoked_at:%Y-%m-%d}" if k.revoked_at else "live"
        click.echo(f"{k.name:24} ak_{k.prefix}_…  {' '.join(k.rights):12} {state}")
    return 0


@keys.command()
@click.argument("name")
def revoke(name: str) -> int:
    """End the key of NAME at once."""
    do(lambda c: store.revoke(c, name, actor=actor()))
    click.echo(f"The key {name!r} is revoked.")
    return 0

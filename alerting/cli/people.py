"""`alerting people`: the persons who may act here."""

from __future__ import annotations

import json

import click
from shapely.geometry.base import BaseGeometry
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import granting, options
from alerting.cli.database import acting, do, do_as
from alerting.domain.principal import RIGHTS
from alerting.errors import BadInput
from alerting.store import keys
from alerting.store import people as store
from alerting.store.people import Person


@click.group()
def people() -> None:
    """Manage the persons who may act, by an account of this machine or a key."""


@people.command()
@click.argument("name")
@click.option(
    "--uid", type=click.IntRange(0, 2**32 - 1), help="Their account on this machine (id -u)."
)
@click.option(
    "--right",
    "rights",
    multiple=True,
    help=f"What they may do, of {', '.join(RIGHTS)}; may be repeated. Submit and read where none "
    "is given, for the first person every right.",
)
@granting.senders
@granting.statuses
@granting.area
@click.option("--key", help="Also create a key of this name for them, and show it.")
@options.as_json
def add(
    name: str,
    uid: int | None,
    rights: tuple[str, ...],
    senders: tuple[str, ...],
    statuses: tuple[str, ...],
    area: str | None,
    key: str | None,
    as_json: bool,
) -> int:
    """Add the person NAME. Two names are two people: give nobody two names.

    The first person may be added by anybody with access to the database; others by somebody with
    the right `people`.
    """
    ground = granting.read_area(area)

    async def work(connection: AsyncConnection) -> tuple[Person, str | None]:
        return await _add(connection, name, uid, rights, senders, statuses, ground, key)

    added, secret = do(work)
    if as_json:
        found = {"name": name, "uid": uid, **granting.to_json(added.principal)}
        click.echo(json.dumps(found | ({"key": secret} if secret else {})))
        return 0
    click.echo(f"Added {name}: {granting.in_words(added.principal)}.", err=bool(secret))
    if secret:
        click.echo(secret)
        click.echo("Keep the key now: it is not stored and cannot be shown again.", err=True)
    return 0


@people.command("list")
@options.as_json
def list_(as_json: bool) -> int:
    """Show everybody who may act, and former persons."""
    found = do(store.every)
    if as_json:
        rows = [
            {
                "name": p.name,
                "uid": p.uid,
                **granting.to_json(p.principal),
                "created_at": p.created_at.isoformat(),
                "ended_at": p.ended_at.isoformat() if p.ended_at else None,
            }
            for p in found
        ]
        click.echo(json.dumps({"people": rows}))
        return 0
    for p in found:
        state = f"ended {p.ended_at:%Y-%m-%d}" if p.ended_at else ""
        uid = f"uid {p.uid}" if p.uid is not None else ""
        click.echo(f"{p.name:24} {uid:10} {state:16} {granting.in_words(p.principal)}".rstrip())
    if not found:
        click.echo("There is nobody yet: alerting people add NAME --uid $(id -u) --sender '*'")
    return 0


@people.command()
@click.argument("name")
def end(name: str) -> int:
    """End NAME's access at once and for good, with all their keys. The name stays taken."""
    do_as("people", lambda c, principal: store.end(c, name, by=principal))
    click.echo(f"{name} may no longer act here.")
    return 0


async def _add(
    connection: AsyncConnection,
    name: str,
    uid: int | None,
    rights: tuple[str, ...],
    senders: tuple[str, ...],
    statuses: tuple[str, ...],
    ground: BaseGeometry | None,
    key: str | None,
) -> tuple[Person, str | None]:
    first = not await store.anybody(connection)
    if first and uid is None and key is None:
        raise BadInput(
            "The first person could do nothing.",
            remedy="Give --uid for their account on this machine, or --key for a key.",
        )
    by = None if first else await acting(connection)
    added = await store.add(
        connection,
        name,
        by=by,
        rights=rights or (RIGHTS if first else keys.USUAL_RIGHTS),
        senders=senders or (("*",) if first else ()),
        statuses=granting.read_statuses(statuses) or granting.ALL,
        area=ground,
        uid=uid,
    )
    if key is None:
        return added, None
    own = added.principal
    made = await keys.create(connection, key, own.rights, by=by or own, owner=added)
    return added, made

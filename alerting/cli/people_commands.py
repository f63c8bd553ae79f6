"""`alerting people`: the persons who may act here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from shapely.geometry.base import BaseGeometry
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import common
from alerting.cli.transaction import acting, do, do_as
from alerting.domain.alert import Status
from alerting.domain.ground import read_geojson
from alerting.domain.principal import RIGHTS, Principal
from alerting.errors import BadInput
from alerting.store.admin import api_keys
from alerting.store.admin import stored_people as store
from alerting.store.admin.stored_people import Person

F = TypeVar("F", bound=Callable[..., Any])

ALL = tuple(Status)

#: Enough for an area with the largest permitted number of points.
_MAX_BYTES = 2_000_000


def senders(command: F) -> F:
    return click.option(
        "--sender", "senders", multiple=True, help="A pattern of CAP senders; may be repeated."
    )(command)


def statuses(command: F) -> F:
    return click.option(
        "--status",
        "statuses",
        multiple=True,
        type=click.Choice([s.value for s in Status], case_sensitive=False),
        help="A status it may use; may be repeated. All where none is given.",
    )(command)


def area(command: F) -> F:
    return click.option(
        "--area", "area", type=click.Path(), help="A GeoJSON file: alerts only within it."
    )(command)


def read_statuses(given: tuple[str, ...]) -> tuple[Status, ...]:
    return tuple(map(Status, given))


def read_area(file: str | None) -> BaseGeometry | None:
    """The area in a GeoJSON file.

    Raises:
        BadInput: When the file cannot be read or holds no area.
    """
    if file is None:
        return None
    try:
        with Path(file).open("rb") as f:
            data = f.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise BadInput(f"{file} is larger than {_MAX_BYTES:,} bytes.", remedy="Simplify it.")
        return read_geojson(json.loads(data))
    except OSError as e:
        raise BadInput(
            f"{file} cannot be read: {e.strerror or e}.", remedy="Check the path and its rights."
        ) from e
    except (ValueError, RecursionError) as e:
        raise BadInput(f"{file} is no JSON.", remedy="Give a GeoJSON file.") from e


def to_json(principal: Principal) -> dict[str, Any]:
    """A principal's authority, for programs."""
    return {
        "rights": [r for r in RIGHTS if principal.may(r)],
        "senders": list(principal.senders),
        "statuses": [s.value for s in Status if s in principal.statuses],
        "limited_to_an_area": principal.area is not None,
    }


def in_words(principal: Principal) -> str:
    """A principal's authority, in one line."""
    words = [" ".join(r for r in RIGHTS if principal.may(r))]
    if principal.senders != ("*",):
        words.append(f"for {' '.join(principal.senders) or 'nobody'}")
    if principal.statuses != frozenset(Status):
        words.append(f"as {' '.join(s for s in Status if s in principal.statuses)}")
    if principal.area is not None:
        words.append("within an area")
    return ", ".join(words)


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
@senders
@statuses
@area
@click.option("--key", help="Also create a key of this name for them, and show it.")
@common.as_json
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
    ground = read_area(area)

    async def work(connection: AsyncConnection) -> tuple[Person, str | None]:
        return await _add(connection, name, uid, rights, senders, statuses, ground, key)

    added, secret = do(work)
    if as_json:
        found = {"name": name, "uid": uid, **to_json(added.principal)}
        click.echo(json.dumps(found | ({"key": secret} if secret else {})))
        return 0
    click.echo(f"Added {name}: {in_words(added.principal)}.", err=bool(secret))
    if secret:
        click.echo(secret)
        click.echo("Keep the key now: it is not stored and cannot be shown again.", err=True)
    return 0


@people.command("list")
@common.as_json
def list_(as_json: bool) -> int:
    """Show everybody who may act, and former persons."""
    found = do(store.every)
    if as_json:
        rows = [
            {
                "name": p.name,
                "uid": p.uid,
                **to_json(p.principal),
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
        click.echo(f"{p.name:24} {uid:10} {state:16} {in_words(p.principal)}".rstrip())
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
        rights=rights or (RIGHTS if first else api_keys.USUAL_RIGHTS),
        senders=senders or (("*",) if first else ()),
        statuses=read_statuses(statuses) or ALL,
        area=ground,
        uid=uid,
    )
    if key is None:
        return added, None
    own = added.principal
    made = await api_keys.create(connection, key, own.rights, by=by or own, owner=added)
    return added, made

"""`alerting keys`: API keys of programs and people."""

from __future__ import annotations

import json
from datetime import datetime

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import common
from alerting.cli import people_commands as granting
from alerting.cli.common import instant, shown, span
from alerting.cli.transaction import do, do_as
from alerting.clock import SystemClock
from alerting.domain.principal import Principal
from alerting.errors import BadInput
from alerting.store.admin import api_keys as store
from alerting.store.admin import stored_people
from alerting.store.admin.api_keys import ApiKey

_person = click.option("--person", help="Whose it is, by their name.")
_expires = click.option("--expires", help="When it expires, like 90d or 2027-01-31T18:00:00+01:00.")


@click.group()
def keys() -> None:
    """Manage the keys of people, and of machines that use the API."""


@keys.command()
@click.argument("name")
@_person
@click.option(
    "--right",
    "rights",
    multiple=True,
    default=store.USUAL_RIGHTS,
    show_default=True,
    help="What it may do; may be repeated.",
)
@granting.senders
@granting.statuses
@granting.area
@_expires
@common.as_json
def create(
    name: str,
    person: str | None,
    rights: tuple[str, ...],
    senders: tuple[str, ...],
    statuses: tuple[str, ...],
    area: str | None,
    expires: str | None,
    as_json: bool,
) -> int:
    """Create a key NAME and show it, once. Without --person it belongs to a machine.

    A person's key may do no more than the person; a machine's never approves. Whoever creates a key
    has seen it, and so never counts as a second person beside it.
    """
    ground = granting.read_area(area)
    expires_at = _expiry(expires)

    async def work(connection: AsyncConnection, principal: Principal) -> str:
        return await store.create(
            connection,
            name,
            rights,
            by=principal,
            owner=await stored_people.named(connection, person) if person else None,
            senders=senders,
            statuses=granting.read_statuses(statuses),
            area=ground,
            expires_at=expires_at,
        )

    key = do_as("people", work)
    if as_json:
        document = {"name": name, "person": person, "rights": list(rights), "key": key}
        click.echo(json.dumps(document))
    else:
        _show(key)
    return 0


@keys.command()
@click.argument("name")
@_expires
@common.as_json
def rotate(name: str, expires: str | None, as_json: bool) -> int:
    """Replace the key NAME and show the new one, once; the old one is revoked at once.

    It keeps its name, owner, rights and limits, so that policies and the audit log know it as
    before. For a change without a gap create a second key under another name, and revoke the first
    when nobody uses it any more.
    """
    expires_at = _expiry(expires)
    key = do_as("people", lambda c, by: store.rotate(c, name, by=by, expires_at=expires_at))
    if as_json:
        click.echo(json.dumps({"name": name, "key": key}))
    else:
        _show(key)
    return 0


@keys.command()
@click.argument("name")
@_person
@click.option("--machine", is_flag=True, help="It is a machine's.")
def assign(name: str, person: str | None, machine: bool) -> int:
    """Assign the key NAME, which was created before keys had owners."""
    if (person is None) != machine:
        raise BadInput(
            "A key belongs to a person or a machine.", remedy="Give --person or --machine."
        )

    async def work(connection: AsyncConnection, principal: Principal) -> ApiKey:
        owner = await stored_people.named(connection, person) if person else None
        return await store.assign(connection, name, owner=owner, by=principal)

    found = do_as("people", work)
    whose = person or "a machine"
    click.echo(f"The key {name!r} is of {whose}: {granting.in_words(found.principal)}.")
    return 0


@keys.command("list")
@common.as_json
def list_(as_json: bool) -> int:
    """Show every key, without its secret."""
    found = do(store.every)
    if as_json:
        click.echo(json.dumps({"keys": [_to_json(k) for k in found]}))
        return 0
    for k in found:
        click.echo(
            f"{k.name:24} ak_{k.prefix}_…  {_whose(k):16} {_state(k):28} "
            f"{granting.in_words(k.principal)}"
        )
    return 0


@keys.command()
@click.argument("name")
def revoke(name: str) -> int:
    """Revoke the key NAME at once."""
    do_as("people", lambda c, principal: store.revoke(c, name, by=principal))
    click.echo(f"The key {name!r} is revoked.")
    return 0


def _show(key: str) -> None:
    click.echo(key)
    click.echo("Keep it now: it is not stored and cannot be shown again.", err=True)


def _expiry(text: str | None) -> datetime | None:
    if text is None:
        return None
    if text[-1:] in {"m", "h", "d"}:
        return SystemClock().now() + span(text)
    return instant(text, "--expires")


def _whose(key: ApiKey) -> str:
    return "nobody's" if key.unassigned else key.person or "a machine"


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {shown(key.revoked_at)}"
    if key.expires_at is None:
        return "live"
    word = "expired" if key.expires_at <= SystemClock().now() else "until"
    return f"{word} {shown(key.expires_at)}"


def _to_json(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "prefix": key.prefix,
        "person": key.person,
        "assigned": not key.unassigned,
        **granting.to_json(key.principal),
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }

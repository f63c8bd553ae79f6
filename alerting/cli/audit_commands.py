"""`alerting audit`: who did what, and whether the record was changed."""

from __future__ import annotations

import json

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli import common
from alerting.cli.common import instant
from alerting.cli.transaction import do
from alerting.store import audit_log as store
from alerting.store.admin import audit_chain
from alerting.store.admin.audit_chain import Head, Verified
from alerting.store.alerts import stored_alerts
from alerting.store.audit_log import Entry


@click.group()
def audit() -> None:
    """Show who did what, and whether the record was changed."""


@audit.command("list")
@click.option("--alert", help="Everything done to this alert: its id or CAP identifier.")
@click.option(
    "--subject",
    help="Everything done to a key, a roster or `citizen REF` (also lines that name it).",
)
@click.option("--actor", default="", help="person:NAME (by whatever key), key:NAME, citizen.")
@click.option("--action", default="", help="Like alert.cancel; alert for all that begin so.")
@click.option("--since", help="From then on, like 2026-11-01T18:00:00+01:00.")
@click.option("--until", help="Before then.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000))
@common.as_json
def list_(
    alert: str | None,
    subject: str | None,
    actor: str,
    action: str,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """List the lines that match everything given, the newest last. Times are UTC.

    Of --alert and --subject one match is enough.
    """
    begin = instant(since, "--since") if since else None
    end = instant(until, "--until") if until else None

    async def look(connection: AsyncConnection) -> list[Entry]:
        subjects = [subject] if subject else []
        if alert:
            subjects.append(str(await stored_alerts.resolve(connection, alert)))
        return await store.page(
            connection,
            subjects=subjects,
            actor=actor,
            action=action,
            since=begin,
            until=end,
            limit=limit,
        )

    found = do(look)[::-1]
    if as_json:
        click.echo(json.dumps([line.to_json() for line in found], ensure_ascii=False))
        return 0
    for line in found:
        detail = json.dumps(line.detail, ensure_ascii=False) if line.detail else ""
        click.echo(
            f"{line.at:%Y-%m-%d %H:%M:%S}  {line.actor}  {line.action}  {line.subject}  {detail}"
        )
    if len(found) == limit:
        click.echo(f"These are the newest {limit:,}; --limit shows more.", err=True)
    return 0


@audit.command()
@click.option("--head", help="NUMBER:HASH as the log noted it (audit.sealed): it must be in it.")
@common.as_json
def verify(head: str | None, as_json: bool) -> int:
    """Find lines that were changed, removed, inserted or swapped since they were sealed.

    The scheduler seals them within a second. The exit code is 1 when anything was changed.
    """
    noted = Head.parse(head) if head else None

    async def look(connection: AsyncConnection) -> Verified:
        return await audit_chain.verify(connection, noted=noted)

    found = do(look)
    if as_json:
        document = {
            "sealed": found.sealed,
            "unsealed": found.unsealed,
            "head": str(found.head),
            "broken": [{"seq": b.seq, "what": b.what} for b in found.broken],
        }
        click.echo(json.dumps(document))
        return 1 if found.broken else 0
    for broken in found.broken:
        click.echo(f"At line {broken.seq:,}: {broken.what}.")
    state = "is not as it was written" if found.broken else "is as it was written"
    click.echo(
        f"The audit {state}: {found.sealed:,} lines are sealed, {found.unsealed:,} are not yet. "
        f"Its head is {found.head}."
    )
    if noted is None:
        click.echo("Only a head from the log can show whether its end was cut off (--head).")
    return 1 if found.broken else 0

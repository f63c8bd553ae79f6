"""`alerting citizens`: the directory of citizens who may be notified."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import DownloadColumn
from shapely.geometry.base import BaseGeometry
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import examples
from alerting.addresses import database_url
from alerting.audience import restoring
from alerting.audience.importing import Report, import_file
from alerting.audience.populate import populate
from alerting.audience.restoring import unused_because
from alerting.audience.zones import Zones
from alerting.cap import read
from alerting.channels import registry
from alerting.cli import common
from alerting.cli.common import progress
from alerting.cli.transaction import actor, do
from alerting.errors import BadInput
from alerting.settings import settings
from alerting.store import audit_log
from alerting.store.citizens import directory
from alerting.store.citizens.directory import AddressState
from alerting.store.db import Database


@click.group()
def citizens() -> None:
    """Manage the directory of citizens."""


@citizens.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--errors", type=click.Path(path_type=Path), help="Where refused lines go.")
@click.option("--dry-run", is_flag=True, help="Show what it would do; change nothing.")
@common.as_json
def import_(file: Path, errors: Path | None, dry_run: bool, as_json: bool) -> int:
    """Update the directory to the content of FILE.csv; importing it again changes nothing.

    The exit code is 1 when lines were refused: the errors file lists them with their reasons.
    """
    size = file.stat().st_size if file.exists() else None
    errors = errors or file.with_suffix(".errors.csv")
    report = asyncio.run(_import(file, errors, size, dry_run=dry_run, quiet=as_json))
    if as_json:
        click.echo(json.dumps(asdict(report) | {"lines": report.lines}))
    else:
        click.echo(
            f"{'Nothing was changed; it would be: ' if dry_run else ''}"
            f"{report.lines:,} lines: {report.added:,} added, {report.changed:,} changed, "
            f"{report.unchanged:,} unchanged, {report.refused:,} refused."
        )
        if report.errors:
            click.echo(f"Refused lines with reasons: {report.errors}", err=True)
    return 1 if report.refused else 0


@citizens.command()
@click.argument("ref")
@common.as_json
def show(ref: str, as_json: bool) -> int:
    """Show how the citizen REF (their register key) is reached, and which addresses are unusable.

    Endpoints are masked. The audit log records who looked.
    """

    async def look(connection: AsyncConnection) -> list[AddressState]:
        found = await directory.addresses_of(connection, ref)
        await audit_log.record(
            connection, await actor(connection), "citizen.show", f"citizen {ref}"
        )
        return found

    found = [
        (a.channel, registry.masked(a.channel, a.endpoint), unused_because(a)) for a in do(look)
    ]
    if as_json:
        rows = [
            {"channel": channel, "endpoint": endpoint, "used": not why, "reasons": why}
            for channel, endpoint, why in found
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return 0
    for channel, endpoint, why in found:
        click.echo(f"{channel:6} {endpoint}  {' '.join(why) or 'in use'}")
    if not found:
        click.echo(f"{ref} has no address.")
    return 0


@citizens.command()
@click.argument("ref")
@click.option(
    "--channel", type=click.Choice(registry.names()), help="Only the addresses of this one."
)
@click.option("--asked", is_flag=True, help="They left themselves, and asked to be warned again.")
@click.option("--why", required=True, help="For the audit: who said what.")
def restore(ref: str, channel: str | None, asked: bool, why: str) -> int:
    """Use the suspended or unsubscribed addresses of the citizen REF again.

    The exit code is 1 when one of them still cannot be used because of the register.
    """

    async def work(connection: AsyncConnection) -> list[AddressState]:
        by = await actor(connection)
        return await restoring.restore(
            connection, ref, channel=channel, asked=asked, actor=by, why=why
        )

    unused = False
    for a in do(work):
        name, why_not = f"{a.channel} {registry.masked(a.channel, a.endpoint)}", unused_because(a)
        unused = unused or bool(why_not)
        click.echo(
            f"{name} is still not used. {' '.join(why_not)} Correct its line in the register "
            "(consent, verified) and import that."
            if why_not
            else f"{name} is used again."
        )
    return 1 if unused else 0


@citizens.command()
@click.argument("count", type=click.IntRange(1, 100_000_000))
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same citizens.")
@click.option("--area", default=examples.FLOOD, type=click.Path(path_type=Path), help="A CAP file.")
@common.as_json
def generate(count: int, seed: int, area: Path, as_json: bool) -> int:
    """Fill the directory with COUNT synthetic citizens in and around the area of a CAP file.

    They live in towns of very unequal size and are not real: their numbers have a country code that
    does not exist, their mail addresses are of example.org. Ten million take minutes. The exit code
    is 2, and nothing is changed, when the directory holds real citizens.
    """
    shape = _area(area)
    bar = progress(quiet=as_json)
    start = time.perf_counter()
    with bar:
        task = bar.add_task("settling", total=count)
        first = asyncio.run(
            populate(
                database_url(settings()),
                count,
                shape,
                seed=seed,
                progress=lambda done: bar.update(task, completed=done),
            )
        )
    seconds = round(time.perf_counter() - start, 1)
    if as_json:
        click.echo(json.dumps({"citizens": count, "first": first, "seconds": seconds}))
    else:
        click.echo(f"{count:,} synthetic citizens were added in {seconds:,} s.")
    return 0


def _area(path: Path) -> BaseGeometry:
    try:
        data = path.read_bytes()
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror}.", remedy="Name a CAP file.") from e
    reach = Zones(read(data).alerts[0]).reach
    if reach.is_empty:
        raise BadInput(f"{path} has no polygon and no circle.", remedy="Name one that has.")
    return reach


@citizens.command()
@common.as_json
def stats(as_json: bool) -> int:
    """Count citizens, places, geocodes and addresses."""

    async def run() -> dict[str, object]:
        db = Database(database_url(settings()))
        try:
            async with db.begin() as connection:
                return await directory.stats(connection)
        finally:
            await db.close()

    found = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(found))
        return 0
    click.echo(
        f"{found['citizens']:,} citizens, {found['places']:,} places, "
        f"{found['geocodes']:,} geocodes"
    )
    channels = found["channels"]
    if isinstance(channels, dict):
        for name, c in channels.items():
            click.echo(f"  {name:6} {c['addresses']:>10,} addresses, {c['usable']:>10,} usable")
    return 0


async def _import(
    file: Path, errors: Path, size: int | None, *, dry_run: bool, quiet: bool
) -> Report:
    bar = progress(quiet=quiet, done=DownloadColumn())
    db = Database(database_url(settings()))
    try:
        async with db.begin() as connection:
            by = await actor(connection)
        with bar:
            task = bar.add_task("importing", total=size)
            return await import_file(
                db,
                file,
                errors=errors,
                actor=by,
                dry_run=dry_run,
                loopback_push=settings().carriers == "sandbox",
                progress=lambda done: bar.update(task, completed=done),
            )
    finally:
        await db.close()

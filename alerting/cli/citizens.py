"""`alerting citizens import`, `generate` and `stats`: the directory of who may be told."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import DownloadColumn
from shapely.geometry.base import BaseGeometry

from alerting import examples
from alerting.addresses import database_url
from alerting.audience.importing import Report, import_file
from alerting.audience.populate import populate
from alerting.audience.zones import Zones
from alerting.cap import read
from alerting.cli import options
from alerting.cli.progress import progress
from alerting.errors import BadInput
from alerting.settings import settings
from alerting.store import citizens as directory
from alerting.store.db import Database


@click.group()
def citizens() -> None:
    """The directory of citizens."""


@citizens.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--errors", type=click.Path(path_type=Path), help="Where refused lines go.")
@options.as_json
def import_(file: Path, errors: Path | None, as_json: bool) -> int:
    """Bring the directory to what FILE.csv says; importing it again changes nothing.

    Exits 1 when some lines were refused: they stand in the errors file with their reasons.
    """
    size = file.stat().st_size if file.exists() else None
    errors = errors or file.with_suffix(".errors.csv")
    report = asyncio.run(_import(file, errors, size, quiet=as_json))
    if as_json:
        click.echo(json.dumps(asdict(report) | {"lines": report.lines}))
    else:
        click.echo(
            f"{report.lines:,} lines: {report.added:,} added, {report.changed:,} changed, "
            f"{report.unchanged:,} unchanged, {report.refused:,} refused."
        )
        if report.errors:
            click.echo(f"Those lines and why: {report.errors}", err=True)
    return 1 if report.refused else 0


@citizens.command()
@click.argument("count", type=click.IntRange(1, 100_000_000))
@click.option("--seed", default=1, show_default=True, help="The same seed, the same citizens.")
@click.option("--area", default=examples.FLOOD, type=click.Path(path_type=Path), help="A CAP file.")
@options.as_json
def generate(count: int, seed: int, area: Path, as_json: bool) -> int:
    """Fill the directory with COUNT synthetic citizens in and around the area of a CAP file.

    They live in towns of very unequal size and resemble nobody: numbers are of a country code
    that does not exist, mail addresses of example.org. Ten million take minutes. Exits 2, having
    changed nothing, when the directory holds others than these.
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
@options.as_json
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


async def _import(file: Path, errors: Path, size: int | None, *, quiet: bool) -> Report:
    bar = progress(quiet=quiet, done=DownloadColumn())
    db = Database(database_url(settings()))
    try:
        with bar:
            task = bar.add_task("importing", total=size)
            return await import_file(
                db,
                file,
                errors=errors,
                loopback_push=settings().carriers == "sandbox",
                progress=lambda done: bar.update(task, completed=done),
            )
    finally:
        await db.close()

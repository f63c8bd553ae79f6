"""`alerting doctor` and `alerting migrate`: is this installation fit, and its schema right."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from alerting.bootstrap import database_url
from alerting.cli import options
from alerting.cli.checks import Check, examine
from alerting.embedded import engines
from alerting.settings import settings
from alerting.store.migrate import migrate as bring_to_head


@click.command()
@options.as_json
def doctor(as_json: bool) -> int:
    """Check this installation and say what to do about each thing that is wrong."""
    checks = examine(settings())
    good = all(c.good for c in checks)
    if as_json:
        click.echo(json.dumps({"good": good, "checks": [c.to_json() for c in checks]}, indent=2))
    else:
        Console().print(_table(checks))
    return 0 if good else 1


@click.command()
def migrate() -> int:
    """Bring the database to this version's schema.

    Works on DATABASE_URL or the running embedded database; where neither is there, it starts the
    embedded one for as long as it takes.
    """
    config = settings()
    if config.embedded_database and engines.find(config.var) is None:
        with engines.start(config.var, with_redis=False) as running:
            before, now = bring_to_head(running.database_url)
    else:
        before, now = bring_to_head(database_url(config))
    click.echo(
        f"The schema is at {now} already." if before == now else f"Schema: {before} → {now}."
    )
    return 0


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, show_header=False)
    for c in checks:
        table.add_row("ok" if c.good else "WRONG", c.name, c.found)
        if not c.good and c.remedy:
            table.add_row("", "", f"→ {c.remedy}")
    return table

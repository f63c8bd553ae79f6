"""`alerting migrate` and `alerting alive`: start and monitor an installation."""

from __future__ import annotations

import click

from alerting.addresses import database_url
from alerting.cli.database import do
from alerting.errors import WorkFailed
from alerting.settings import settings
from alerting.store.work.presence import DUTIES, on_duty, this_host


@click.command()
def migrate() -> int:
    """Migrate the database to this version's schema.

    Works on DATABASE_URL or the running embedded database; when neither is available, it starts the
    embedded one for the duration.
    """
    # A health check runs `alive` every half minute, and needs none of it.
    from alerting.embedded import engines
    from alerting.store.migrate import migrate as bring_to_head

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


@click.command()
@click.argument("duties", nargs=-1, required=True, type=click.Choice(DUTIES))
def alive(duties: tuple[str, ...]) -> int:
    """Check that this machine has a process for each of these lanes, or the scheduler.

    For health checks of containers. The exit code is 1 when one is missing.
    """
    here = this_host()
    found = {f.duty for f in do(on_duty) if f.host == here}
    if missing := [duty for duty in duties if duty not in found]:
        raise WorkFailed(f"Nothing on {here} serves {', '.join(missing)}.")
    click.echo(f"{here} serves {', '.join(duties)}.")
    return 0

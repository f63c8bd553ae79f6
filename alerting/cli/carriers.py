"""`alerting carriers`: the stand-in carriers alone."""

from __future__ import annotations

import click

from alerting.embedded.carriers import run
from alerting.observe.logs import configure
from alerting.settings import settings


@click.command()
def carriers() -> int:
    """Run the stand-in SMS, mail and push carriers until Ctrl-C."""
    config = settings()
    configure(config.log_level, config.log_format)
    run(config)
    return 0

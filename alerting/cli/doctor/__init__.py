"""`alerting doctor`: check an installation by asking everything it depends on."""

from __future__ import annotations

import asyncio
import json

import click
from rich.console import Console
from rich.table import Table

from alerting.cli import common
from alerting.cli.doctor import trial
from alerting.cli.doctor.check import Check
from alerting.cli.doctor.examine import examine
from alerting.settings import settings


@click.command()
@click.option(
    "--send-test",
    metavar="ADDRESS",
    help="Send one message marked as a test to this phone number or mail address instead.",
)
@common.as_json
def doctor(send_test: str | None, as_json: bool) -> int:
    """Check this installation and show what to do about each problem.

    It asks the database, workers and scheduler, Redis, the mail relays up to the login, Twilio for
    the account and its numbers, and the public address. Nothing is sent without --send-test. The
    exit code is 1 when a part needed for sending fails.
    """
    if send_test is not None:
        return _send_test(send_test, as_json)
    checks = asyncio.run(examine(settings()))
    good = all(c.good for c in checks)
    if as_json:
        click.echo(json.dumps({"good": good, "checks": [c.to_json() for c in checks]}, indent=2))
    else:
        Console().print(_table(checks))
    return 0 if good else 1


def _send_test(address: str, as_json: bool) -> int:
    said = asyncio.run(trial.send_test(settings(), address))
    click.echo(json.dumps({"said": said}) if as_json else said)
    return 0


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, show_header=False)
    for c in checks:
        table.add_row(c.word, c.name, c.found)
        if c.remedy:
            table.add_row("", "", f"→ {c.remedy}")
    return table

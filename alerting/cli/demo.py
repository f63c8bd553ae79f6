"""`alerting demo`: an alert from submission to delivery on this machine, in under a minute."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import click
from rich.console import Console

from alerting import examples
from alerting.cli import common
from alerting.cli.alert_output import Bar, channel_table
from alerting.cli.up import phones_url, running
from alerting.demo.run import Result, demo_settings, run, write
from alerting.embedded.engines import require
from alerting.errors import BadInput
from alerting.observe.logs import configure
from alerting.settings import Settings, settings


@click.command()
@click.option("--citizens", default=20_000, show_default=True, type=click.IntRange(1, 5_000_000))
@click.option("--seed", default=1, show_default=True, help="The same seed, the same citizens.")
@click.option(
    "--alert", default=examples.FLOOD, type=click.Path(path_type=Path), help="A CAP file."
)
@common.as_json
@click.option("-v", "--verbose", is_flag=True, help="Show the processes' own lines.")
def demo(citizens: int, seed: int, alert: Path, as_json: bool, verbose: bool) -> int:
    """Send an example alert to synthetic citizens over stand-in carriers and check the result.

    Starts everything on engines of its own below var/demo, and stops it again. The exit code is 0
    when, by the carriers' own logs, every citizen in the area and nobody else was notified exactly
    once.
    """
    try:
        example = alert.read_bytes()
    except OSError as e:
        raise BadInput(f"{alert} cannot be read: {e.strerror}.", remedy="Name a CAP file.") from e
    require()
    own = settings()
    config = demo_settings(own)
    configure("INFO" if verbose else "ERROR", own.log_format)
    # Every run starts from nothing: what an earlier run left would be sent again.
    shutil.rmtree(config.var, ignore_errors=True)
    result = asyncio.run(
        _demo(config, example, citizens=citizens, seed=seed, as_json=as_json, verbose=verbose)
    )
    path = own.var / "demo.json"
    write(result, path)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    else:
        _print(result, path)
    return 0 if result.judgement.clean else 1


async def _demo(
    config: Settings, example: bytes, *, citizens: int, seed: int, as_json: bool, verbose: bool
) -> Result:
    console = Console(stderr=True)

    def say(text: str) -> None:
        if not as_json:
            console.print(text, markup=False, highlight=False)

    say("Starting PostgreSQL, Redis, carriers, API, workers and scheduler …")
    async with running(config, quiet=not verbose):
        say(f"The phones, live, while this runs: {phones_url(config)}")
        with Bar(quiet=as_json) as bar:
            return await run(
                config, example, citizens=citizens, seed=seed, say=say, progress=bar.show
            )


def _print(result: Result, path: Path) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    j = result.judgement
    extra = {
        "audience": {n: f"{c['expected']:,}" for n, c in j.by_channel.items()},
        "a second": {
            n: f"{c.accepted / c.last_s:,.0f}"
            for n, c in result.status.channels.items()
            if c.last_s
        },
    }
    console.print(channel_table(result.status, extra))
    notified = sum(c.accepted for c in result.status.channels.values())
    rate = notified / result.seconds if result.seconds else 0
    console.print(
        f"{result.status.audience:,} citizens in the area, {notified:,} messages in "
        f"{result.seconds:.1f} s, {rate:,.0f} a second.\n"
        f"By the carriers' own logs: expected {j.expected:,}, received {j.received:,}, "
        f"lost {j.lost}, duplicates {j.duplicates}, sent to the wrong place {j.unexpected}.\n"
        f"Numbers: {path}   To keep it running and see the phones: make up",
        markup=False,
        highlight=False,
    )

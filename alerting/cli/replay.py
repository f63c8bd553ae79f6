"""`alerting replay` and `alerting storm`: what citizens would have received, with nothing sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import click

from alerting.channels import registry
from alerting.cli import common
from alerting.cli.common import progress
from alerting.cli.replay_report import markdown, summary
from alerting.errors import BadInput, NotInstalled
from alerting.replay import storm_trace
from alerting.replay.population import Population, from_register, generated, mixes, with_channels
from alerting.replay.result import Result
from alerting.replay.simulation import replay as run
from alerting.replay.storm_trace import CITIZENS, generate
from alerting.replay.trace import Trace, read_trace
from alerting.settings import settings
from alerting.throttle.policy.parse import MAX_CHARACTERS, Policy, default_policy, parse_policy

_path = click.Path(path_type=Path)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=_path, metavar="PATH…")
@click.option("--policy", type=_path, help="The policy to decide by, instead of the default.")
@click.option("--citizens", type=_path, help="A register's CSV, instead of one citizen a place.")
@click.option("--truth", type=_path, help="Which incident each message is about (JSON lines).")
@click.option("--detail", type=_path, help="Write a line of JSON for each alert and citizen.")
@click.option("--plot", type=_path, help="Draw interruptions per citizen and day into a PNG.")
@click.option("--channels", help="The citizens' channels: push, sms, mixed, or several of them.")
@click.option("--each", is_flag=True, help="Replay each PATH by itself and print one table.")
@common.as_json
def replay(
    paths: tuple[Path, ...],
    policy: Path | None,
    citizens: Path | None,
    truth: Path | None,
    detail: Path | None,
    plot: Path | None,
    channels: str | None,
    each: bool,
    as_json: bool,
) -> int:
    """Run past alerts through the throttle and show what citizens would have received.

    PATH is a folder, a zip, a feed or a CAP file. Nothing is sent or downloaded. Without --citizens
    there is one citizen for each geocode, and for an area without geocodes, for each polygon and
    circle; with --each a folder's citizens.csv takes precedence.

    With --channels everyone has push, or SMS, or in turn push, SMS, mail, push and SMS, SMS and
    mail (mixed). Without it citizens have their own channels, or push when none are known.
    """
    chosen, chosen_mixes = _policy(policy), mixes(channels) if channels else ["own"]
    for target in filter(None, (detail, plot)):
        if each or len(chosen_mixes) > 1:
            raise BadInput("--detail and --plot are for one replay: one --channels, no --each.")
        if not target.absolute().parent.is_dir():
            raise BadInput(f"There is no folder for {target}.", remedy="Make it first.")

    draw = _plotter() if plot else None

    def play(paths: list[Path], name: str) -> list[tuple[str, Result]]:
        trace = read_trace(paths, truth=truth)
        population = _population(citizens, paths if each else [], trace)
        return [
            (name, _play(trace, population, mix, chosen, policy, detail, quiet=as_json or each))
            for mix in chosen_mixes
        ]

    if each:
        results = [r for path in paths for r in play([path], path.name.removesuffix(".zip"))]
    else:
        results = play(list(paths), " ".join(p.name for p in paths))
    name, first = results[0]
    if draw and plot:
        draw(first.figures, plot, title=name)
    if as_json:
        found = [{"trace": name, **result.to_json()} for name, result in results]
        one = found[0] if len(found) == 1 and not each else {"replays": found}
        click.echo(json.dumps(one, ensure_ascii=False))
    elif each:
        click.echo(markdown(results), nl=False)
    else:
        for _, result in results:
            summary(result)
    return 0


@click.command()
@click.argument("target", type=_path, metavar="OUT_DIR|OUT.zip")
@click.option("--seed", type=int, default=1, show_default=True, help="Another storm for each.")
@click.option("--citizens", type=click.IntRange(1, 100_000), default=500, show_default=True)
def storm(target: Path, seed: int, citizens: int) -> int:
    """Write a synthetic day with too many alerts: five agencies, forty alerts, and its citizens."""
    count = storm_trace.write(generate(seed, citizens=citizens), target)
    click.echo(f"{count} files written to {target}.")
    if target.suffix.lower() != ".zip":
        register = target / CITIZENS
        click.echo(f"Play it: alerting replay {target} --citizens {register}")
    return 0


def _population(register: Path | None, paths: list[Path], trace: Trace) -> Population:
    own = next((p / CITIZENS for p in paths if (p / CITIZENS).is_file()), None)
    chosen = register or own
    return from_register(chosen) if chosen else generated(trace.alerts)


def _play(
    trace: Trace,
    population: Population,
    mix: str,
    policy: Policy,
    policy_path: Path | None,
    detail: Path | None,
    *,
    quiet: bool,
) -> Result:
    bar = progress(quiet=quiet)
    with bar:
        task = bar.add_task("replaying", total=len(trace.played))
        return asyncio.run(
            run(
                trace,
                population if mix == "own" else with_channels(population, mix),
                policy,
                policy_name=str(policy_path) if policy_path else "default",
                channels=mix,
                default_expiry_s=settings().default_expiry_s,
                all_channels_lanes=settings().all_channels_lanes,
                detail=detail,
                progress=lambda played: bar.update(task, completed=played),
            )
        )


def _policy(path: Path | None) -> Policy:
    if path is None:
        return default_policy()
    try:
        with path.open(encoding="utf-8") as file:
            # One character beyond the limit detects "too long" without reading it all.
            text = file.read(MAX_CHARACTERS + 1)
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror}.", remedy="Check the path.") from e
    except UnicodeDecodeError as e:
        raise BadInput(f"{path} is not UTF-8 text.", remedy="Is it the right file?") from e
    return parse_policy(text, name=path.name, rates=registry.rates())


def _plotter() -> Callable[..., None]:
    # matplotlib takes half a second to import, which nobody else should wait for.
    try:
        from alerting.replay.plot import plot
    except ModuleNotFoundError as e:
        raise NotInstalled("matplotlib, which --plot draws with,", "plots") from e
    return plot

"""`alerting policy`: read, check, change and try out the throttle's parameters."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels import registry
from alerting.cli import common
from alerting.cli.common import shown
from alerting.cli.transaction import do, do_as
from alerting.dispatch.evaluation import policies
from alerting.errors import BadInput
from alerting.store.admin import policy_versions as store
from alerting.store.admin.policy_versions import ShadowRow, StoredPolicy
from alerting.throttle.policy.parse import MAX_CHARACTERS, PolicyRefused, old_words, parse_policy

_note = click.option("--note", default="", help="Why, for the history.")
_file = click.argument("file", type=click.Path(allow_dash=True))


@click.group()
def policy() -> None:
    """Manage the throttle's parameters: one TOML file, every version kept."""


@policy.command()
@common.as_json
def show(as_json: bool) -> int:
    """Print the live policy; the output can be edited and set again."""
    found = do(policies.describe)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    if found["version"] == policies.DEFAULT_VERSION:
        click.echo("# version 0: the default, nobody has set another")
    else:
        note = f": {found['note']}" if found["note"] else ""
        click.echo(
            f"# version {found['version']}, set by {found['changed_by']} at {found['at']}{note}"
        )
    if found["in_force"] != found["version"]:
        click.echo("# this text is no longer valid; until it is corrected the default decides")
    if found["shadow"]:
        click.echo(f"# version {found['shadow']['version']} runs in shadow")
    click.echo(found["toml"].rstrip())
    return 0


@policy.command()
@_file
@common.as_json
def check(file: str, as_json: bool) -> int:
    """Show everything that is wrong with FILE (- for standard input); nothing is changed."""
    toml = _read(file)
    try:
        parse_policy(toml, name=_name(file), rates=registry.rates())
    except PolicyRefused as e:
        if not as_json:
            raise
        click.echo(json.dumps({"good": False, "problems": [p.to_json() for p in e.problems]}))
        return e.exit_code
    changed = old_words(toml)
    if as_json:
        click.echo(json.dumps({"good": True, "problems": [], "notes": changed}))
        return 0
    click.echo(f"{_name(file)} is good.")
    for words in changed:
        click.echo(f"  note: {words}")
    return 0


@policy.command("set")
@_file
@_note
@common.as_json
def set_(file: str, note: str, as_json: bool) -> int:
    """Make FILE the live policy. Workers follow within five seconds."""
    toml, name = _read(file), _name(file)
    version = do_as("policy", lambda c, p: policies.set_live(c, toml, by=p, note=note, name=name))
    _say(as_json, {"version": version}, f"Version {version} is live.")
    return 0


@policy.command()
@common.as_json
def history(as_json: bool) -> int:
    """Show who set which version, when and why, newest first."""
    found = do(store.history)
    if as_json:
        click.echo(json.dumps({"versions": [policies.to_json(p) for p in found]}, indent=2))
    for p in [] if as_json else found:
        click.echo(f"{p.version:>5}  {p.state:6}  {shown(p.at)}  {p.changed_by}  {p.note}")
    return 0


@policy.command()
@click.argument("version", type=click.IntRange(min=0))
@_note
@common.as_json
def rollback(version: int, note: str, as_json: bool) -> int:
    """Set VERSION again, as a new version; 0 is the default policy."""
    now = do_as("policy", lambda c, p: policies.rollback(c, version, by=p, note=note))
    _say(as_json, {"version": now, "as": version}, f"Version {now} is live; it is {version} again.")
    return 0


@policy.command()
@click.argument("file", type=click.Path(allow_dash=True), required=False)
@click.option("--off", is_flag=True, help="Stop the policy in shadow.")
@_note
@common.as_json
def shadow(file: str | None, off: bool, note: str, as_json: bool) -> int:
    """Run FILE in shadow of the live policy. It decides nothing; its decisions are counted."""
    if (file is None) != off:
        raise BadInput("Shadow takes a file or --off.", remedy="Give one of them.")
    if file is None:
        ran = do_as("policy", lambda c, p: policies.clear_shadow(c, by=p))
        _say(as_json, {"stopped": ran}, "The shadow is stopped." if ran else "No shadow ran.")
        return 0
    toml, name = _read(file), _name(file)
    version = do_as("policy", lambda c, p: policies.set_shadow(c, toml, by=p, note=note, name=name))
    _say(as_json, {"version": version}, f"Version {version} runs in shadow.")
    return 0


@policy.command()
@common.as_json
def report(as_json: bool) -> int:
    """Show where the shadow policy, or the last one, decided differently."""

    async def work(connection: AsyncConnection) -> tuple[StoredPolicy | None, list[ShadowRow]]:
        found = await store.last_shadow(connection)
        rows = await store.shadow_report(connection, found.version) if found else []
        return found, rows

    found, rows = do(work)
    if found is None:
        raise BadInput(
            "No policy has run in shadow.", remedy="Start one: `alerting policy shadow FILE`."
        )
    total, other = sum(r.count for r in rows), sum(r.count for r in rows if not r.same)
    if as_json:
        document = {
            "version": found.version,
            "deliveries": total,
            "different": other,
            "rows": [asdict(r) | {"same": r.same} for r in rows],
        }
        click.echo(json.dumps(document, indent=2))
        return 0
    share = f" ({other / total:.1%})" if total else ""
    click.echo(f"Version {found.version} would decide {other:,} of {total:,} differently{share}.")
    if rows:
        Console(width=None if sys.stdout.isatty() else 120).print(_table(rows))
    return 0


def _table(rows: list[ShadowRow]) -> Table:
    table = Table()
    for column in ("live", "because", "in shadow", "because"):
        table.add_column(column)
    for column in ("deliveries", "alerts"):
        table.add_column(column, justify="right")
    for r in sorted(rows, key=lambda r: r.same):
        table.add_row(
            r.live_verdict,
            r.live_reason,
            "the same" if r.same else r.shadow_verdict,
            r.shadow_reason,
            f"{r.count:,}",
            f"{r.alerts:,}",
        )
    return table


def _read(file: str) -> str:
    limit = 4 * MAX_CHARACTERS
    try:
        if file == "-":
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(file).open("rb") as f:
                data = f.read(limit + 1)
        return data.decode("utf-8-sig")
    except OSError as e:
        raise BadInput(
            f"{file} cannot be read: {e.strerror or e}.", remedy="Check the path and its rights."
        ) from e
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not UTF-8.", remedy="Save it as UTF-8.") from None


def _name(file: str) -> str:
    if file == "-":
        return "standard input"
    # A file name need not be valid text; in the history it must be.
    return Path(file).name.encode(errors="replace").decode()


def _say(as_json: bool, document: dict[str, Any], words: str) -> None:
    click.echo(json.dumps(document) if as_json else words)

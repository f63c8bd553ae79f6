"""The `alerting` command. Exit code 0 done, 1 the work failed, 2 the input was bad."""

from __future__ import annotations

import importlib
import sys

import click

from alerting.errors import AlertingError

#: command → module:attribute; a module is imported only when its command runs.
COMMANDS = {
    "cap": "alerting.cli.cap:cap",
    "carriers": "alerting.cli.carriers:carriers",
    "citizens": "alerting.cli.citizens:citizens",
    "demo": "alerting.cli.demo:demo",
    "doctor": "alerting.cli.operate:doctor",
    "keys": "alerting.cli.keys:keys",
    "migrate": "alerting.cli.operate:migrate",
    "scheduler": "alerting.cli.serve:scheduler",
    "serve": "alerting.cli.serve:serve",
    "status": "alerting.cli.alerts:status",
    "submit": "alerting.cli.alerts:submit",
    "up": "alerting.cli.up:up",
    "why": "alerting.cli.alerts:why",
}


class LazyGroup(click.Group):
    """Imports a command's module when it is asked for: `alerting --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, attribute = where.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{where} is not a command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alerting", prog_name="alerting")
def cli() -> None:
    """Warn the right citizens within seconds, without drowning them in messages."""


def main() -> None:
    """Run the command; print a deliberate error as one plain message and exit with its code."""
    try:
        code = cli.main(standalone_mode=False)
    except AlertingError as e:
        click.echo(f"alerting: {e}", err=True)
        sys.exit(e.exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(2)
    except click.Abort:
        click.echo("alerting: stopped.", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)

"""The `alerting` command. Exit code 0 done, 1 the work failed, 2 the input was bad."""

from __future__ import annotations

import difflib
import importlib
import sys

import click

from alerting.errors import AlertingError

#: Command → (module:attribute, description in the overview). A module is imported only when its
#: command runs, so that `alerting --help` is fast.
COMMANDS = {
    "alarms": ("alerting.cli.alarms:alarms", "Show what is wrong and needs somebody."),
    "alive": ("alerting.cli.operate:alive", "Say whether a worker or scheduler runs here."),
    "approve": ("alerting.cli.approve_cancel:approve", "Let a held alert go, as a second person."),
    "audit": ("alerting.cli.audit:audit", "Show who did what, and that nobody changed it."),
    "bounces": ("alerting.cli.bounces:bounces", "Take mails that come back as receipts."),
    "cancel": ("alerting.cli.approve_cancel:cancel", "End an alert and tell those it reached."),
    "cap": ("alerting.cli.cap:cap", "Judge CAP documents before they are sent."),
    "carriers": ("alerting.cli.up:carriers", "Run the stand-in carriers alone."),
    "citizens": ("alerting.cli.citizens:citizens", "Import and count citizens."),
    "demo": ("alerting.cli.demo:demo", "Send an example alert to synthetic citizens."),
    "doctor": ("alerting.cli.doctor:doctor", "Check this installation."),
    "drill": ("alerting.cli.drill:drill", "Manage who takes part in exercises and tests."),
    "event": ("alerting.cli.throttling:event", "Manage which alerts are about one event."),
    "keys": ("alerting.cli.keys:keys", "Create, list and revoke API keys."),
    "list": ("alerting.cli.listing:list_", "Find alerts: held ones, by sender, by place."),
    "migrate": ("alerting.cli.operate:migrate", "Bring the database to this version's schema."),
    "people": ("alerting.cli.people:people", "Add, list and end the persons who may act."),
    "policy": ("alerting.cli.policy:policy", "Show, check, change and try out the policy."),
    "prune": ("alerting.cli.prune:prune", "Delete deliveries that nobody needs any more."),
    "reconcile": (
        "alerting.cli.reconcile:reconcile",
        "Prepare a restored database for sending.",
    ),
    "replay": (
        "alerting.cli.replay:replay",
        "Run past alerts through the throttle; send nothing.",
    ),
    "scheduler": ("alerting.cli.serve:scheduler", "Run maintenance: receipts, expiry, digests."),
    "serve": ("alerting.cli.serve:serve", "Serve the REST API and the citizens' pages."),
    "silence": ("alerting.cli.throttling:silence", "Keep alerts from interrupting, for a while."),
    "status": ("alerting.cli.alerts:status", "Show how far an alert has come."),
    "storm": ("alerting.cli.replay:storm", "Write a made-up stormy day as CAP files."),
    "submit": ("alerting.cli.alerts:submit", "Send a CAP alert to the citizens in its area."),
    "up": ("alerting.cli.up:up", "Run everything until Ctrl-C."),
    "why": ("alerting.cli.alerts:why", "Show why a citizen was or was not notified."),
}


class LazyGroup(click.Group):
    """Loads a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]} is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(f"{e.message} Did you mean {near[0]!r}?", ctx) from e

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(
    name="alerting", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="alerting", prog_name="alerting")
def cli() -> None:
    """Warn the right citizens within seconds, without drowning them in messages."""


def main(command: click.Command = cli) -> None:
    """Run the command; print a deliberate error as one plain message and exit with its code."""
    try:
        code = command.main(standalone_mode=False)
    except AlertingError as e:
        click.echo(f"{command.name}: {e}", err=True)
        sys.exit(e.exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(2)
    except click.Abort:
        click.echo(f"{command.name}: stopped.", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)

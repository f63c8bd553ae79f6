"""The `alerting` command. Exit code 0 done, 1 the work failed, 2 the input was bad."""

from __future__ import annotations

import difflib
import importlib
import sys

import click

from alerting.errors import AlertingError

#: Command → (module of this package:attribute, description in the overview). A module is imported
#: only when its command runs, so that `alerting --help` is fast.
COMMANDS = {
    "alarms": ("operate:alarms", "Show what is wrong and needs somebody."),
    "alive": ("operate:alive", "Say whether a worker or scheduler runs here."),
    "approve": ("review:approve", "Let a held alert go, as a second person."),
    "audit": (
        "audit_commands:audit",
        "Show who did what, and that nobody changed it.",
    ),
    "bounces": ("bounce_commands:bounces", "Take mails that come back as receipts."),
    "cancel": ("review:cancel", "End an alert and tell those it reached."),
    "cap": ("cap:cap", "Judge CAP documents before they are sent."),
    "carriers": ("up:carriers", "Run the stand-in carriers alone."),
    "citizens": ("citizen_commands:citizens", "Import and count citizens."),
    "demo": ("demo:demo", "Send an example alert to synthetic citizens."),
    "doctor": ("doctor:doctor", "Check this installation."),
    "drill": ("drill:drill", "Manage who takes part in exercises and tests."),
    "event": ("throttling:event", "Manage which alerts are about one event."),
    "keys": ("key_commands:keys", "Create, list and revoke API keys."),
    "list": ("review:list_", "Find alerts: held ones, by sender, by place."),
    "migrate": ("operate:migrate", "Bring the database to this version's schema."),
    "people": ("people_commands:people", "Add, list and end the persons who may act."),
    "policy": (
        "policy_commands:policy",
        "Show, check, change and try out the policy.",
    ),
    "prune": (
        "maintenance_commands:prune",
        "Delete deliveries that nobody needs any more.",
    ),
    "reconcile": ("maintenance_commands:reconcile", "Prepare a restored database for sending."),
    "replay": ("replay:replay", "Run past alerts through the throttle; send nothing."),
    "scheduler": ("serve:scheduler", "Run maintenance: receipts, expiry, digests."),
    "serve": ("serve:serve", "Serve the REST API and the citizens' pages."),
    "silence": ("throttling:silence", "Keep alerts from interrupting, for a while."),
    "status": ("alert_commands:status", "Show how far an alert has come."),
    "storm": ("replay:storm", "Write a made-up stormy day as CAP files."),
    "submit": (
        "alert_commands:submit",
        "Send a CAP alert to the citizens in its area.",
    ),
    "up": ("up:up", "Run everything until Ctrl-C."),
    "why": ("alert_commands:why", "Show why a citizen was or was not notified."),
}


class LazyGroup(click.Group):
    """Loads a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
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

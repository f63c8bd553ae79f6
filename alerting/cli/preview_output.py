"""What `alerting submit --dry-run` prints: what submitting a document would do."""

from __future__ import annotations

import asyncio
import json

import click

from alerting.audience import FEW
from alerting.bootstrap import Runtime
from alerting.cli.transaction import acting
from alerting.dispatch.intake.foresee import Hears
from alerting.dispatch.intake.preview import preview
from alerting.dispatch.intake.previewed import Preview, sentence
from alerting.domain.alert_state import AlertState
from alerting.settings import settings

_HOW = {
    Hears.AT_ONCE: "interrupted",
    Hears.QUIETLY: "without a sound, or by mail",
    Hears.LATER: "later",
    Hears.NOTHING: "not told",
}
_BECOMES = {
    AlertState.ACCEPTED: "It would be sent",
    AlertState.HELD: "It would wait for a second person",
    AlertState.RECORDED: "It would be recorded and not sent",
    AlertState.SUPERSEDED: "It would not be sent",
}


def show_preview(
    data: bytes, *, now: bool, tell_again: bool, key: str | None, as_json: bool
) -> int:
    """Print the effects of submitting this document; returns the exit code."""

    async def run() -> Preview:
        config = settings()
        async with Runtime.open(config) as runtime:
            async with runtime.db.begin() as connection:
                principal = await acting(connection)
            return await preview(
                runtime.db,
                data,
                principal=principal,
                clock=runtime.clock,
                settings=config,
                idempotency_key=key,
                now=now,
                tell_again=tell_again,
            )

    found = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        _print_preview(found)
    return 0


def _print_preview(found: Preview) -> None:
    submitted = found.submitted
    if not submitted.created:
        click.echo(
            f"Dry run: it was accepted before and is {submitted.state}; nothing would change."
        )
        return
    becomes = _BECOMES.get(submitted.state, submitted.state.value)
    click.echo(f"Dry run, nothing was changed. {becomes}, lane {submitted.lane}.")
    for repair in submitted.repairs:
        click.echo(f"  repaired {repair.where}: {repair.what}")
    for note in (*submitted.notes, *found.odd):
        click.echo(f"  note: {note}")
    _people(found)
    for ended in found.ends:
        click.echo(f"  ends or replaces {ended}")
    for silence in found.silenced_by:
        click.echo(f"  silence {silence}")
    for shown in found.texts:
        size = f", {shown.sms.count} segments {shown.sms.encoding}" if shown.sms else ""
        read_in = ", ".join(shown.languages)
        click.echo(f"\n{shown.channel} to {shown.deliveries} ({read_in}{size}):")
        for line in filter(None, [shown.subject, *shown.text.splitlines()]):
            click.echo(f"    {line}")


def _people(found: Preview) -> None:
    count = f"{'more than ' if found.more else ''}{found.people}"
    count = f"fewer than {FEW}" if found.few else count
    click.echo(f"  {count} people in {found.area_km2:,.1f} km²")
    for how, number in sorted(found.hears.items(), reverse=True):
        click.echo(f"    {number} {_HOW[how]}")
    for title, numbers in (("channels", found.channels), ("languages", found.languages)):
        if numbers:
            listed = ", ".join(f"{name} {number}" for name, number in numbers.items())
            click.echo(f"  {title}: {listed}")
    if found.untranslated.count:
        click.echo(f"  {found.untranslated} read a language that no info is in")
    for (how, reason), number in found.reasons.items():
        click.echo(f"  {number} deliveries {_HOW[how]}: {sentence(reason)}")

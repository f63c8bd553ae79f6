"""What the database says about this installation: duties, keys, backups, alarms and rosters."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cli.doctor.check import Note
from alerting.errors import AlertingError
from alerting.store.admin import api_keys as key_store
from alerting.store.admin import stored_alarms as alarm_store
from alerting.store.citizens import roster_rows
from alerting.store.work import restored
from alerting.store.work.presence import DUTIES, SCHEDULER, OnDuty, on_duty


async def workers(connection: AsyncConnection) -> str:
    """Name the processes on duty.

    Raises:
        AlertingError: When a lane has no worker, or no maintenance runs.
    """
    found = await on_duty(connection)
    missing = [duty for duty in DUTIES if not any(f.duty == duty for f in found)]
    if not missing:
        return said(found)
    lanes = [duty for duty in missing if duty != SCHEDULER]
    words, remedies = [], []
    if lanes:
        words.append(f"no worker for {', '.join(lanes)}")
        remedies.append(f"`celery -A worker worker -Q {','.join(lanes)}`")
    if SCHEDULER in missing:
        words.append("no scheduler")
        remedies.append("`alerting scheduler`")
    there = f" There are: {said(found)}." if found else ""
    raise AlertingError(
        f"{' and '.join(words).capitalize()}: nothing goes out there.{there}"
        if lanes
        else f"No scheduler: nothing expires and no next channel is tried.{there}",
        remedy=f"Start {' and '.join(remedies)}; `alerting up` starts all.",
    )


def said(found: Sequence[OnDuty]) -> str:
    return ", ".join(f"{f.duty} {f.count} on {f.host}" for f in found)


async def keys(connection: AsyncConnection) -> str | Note:
    found = [k for k in await key_store.every(connection) if k.revoked_at is None]
    if ownerless := [k.name for k in found if k.unassigned]:
        # They work as before: something to do, but the installation is fit.
        belongs = "belongs" if len(ownerless) == 1 else "belong"
        return Note(
            f"{len(found)} live, of which {', '.join(ownerless)} {belongs} to nobody",
            "`alerting keys assign NAME --person P | --machine`",
        )
    return f"{len(found)} live"


async def backup(connection: AsyncConnection) -> str:
    if not await restored.is_home(connection):
        raise AlertingError(
            "This database was restored from a backup; workers do not send from it.",
            remedy="Run `alerting reconcile`; docs/runbooks/backup.md.",
        )
    return "ours"


async def alarms(connection: AsyncConnection) -> str:
    found = [f"{a.kind} {a.subject}" for a in await alarm_store.open_alarms(connection)]
    if found:
        raise AlertingError(
            f"{len(found)} open: {', '.join(found[:5])}.", remedy="`alerting alarms` says more."
        )
    return "none"


async def drills(connection: AsyncConnection) -> str | Note:
    """Count rosters; a note if an older version used groups of the register for drills."""
    count = len(await roster_rows.names(connection))
    if await roster_rows.only_groups(connection):
        return Note(
            "no rosters; groups of the register take no part in drills",
            "Ask their members and enrol them: `alerting drill roster create` and `add`.",
        )
    return f"{count} rosters" if count else "no rosters"

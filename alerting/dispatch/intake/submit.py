"""Submit: accepts alerts. An alert is stored together with its work, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from weakref import WeakValueDictionary

from alerting.cap.reader import read_alert
from alerting.clock import Clock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.evaluation import silences
from alerting.dispatch.intake.accept import accept, lock_submission
from alerting.dispatch.intake.findings import notes_on
from alerting.dispatch.intake.interrupting import interrupting
from alerting.dispatch.intake.submission import KeyReused, Prepared, Request, Submitted, prepare
from alerting.domain.alert import Alert
from alerting.domain.principal import Principal
from alerting.observe.logs import logger
from alerting.store.db import Database

log = logger(__name__)

__all__ = ["KeyReused", "Submitted", "submit"]

#: Reads documents outside the event loop. More threads would only share one interpreter.
_READERS = ThreadPoolExecutor(2, "documents")

#: One document of each actor is read at a time, so that an actor with many large ones leaves a
#: thread to the others. A lock is kept while somebody holds or awaits it.
_READING: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


async def submit(
    db: Database,
    data: bytes,
    *,
    principal: Principal,
    clock: Clock,
    notifier: WorkNotifier,
    idempotency_key: str | None = None,
    max_bytes: int = 2_000_000,
    default_expiry_s: float = 24 * 3600,
    drill_roster_max: int = 500,
    all_channels_lanes: Collection[str] = ("extreme",),
    now: bool = False,
    tell_again: bool = False,
) -> Submitted:
    """Accept one alert, once, and notify the workers of its plan.

    The alert, its place in its thread, its plan in the outbox and the audit line are one
    transaction. Repeating a submission (same `idempotency_key` and body, or the same CAP reference
    and content) answers as the first time and changes nothing. The notes on an update say how many
    people it interrupts.

    Args:
        now: Move the alert's times so that it is sent at this moment (rehearsals, prepared texts).
            The same text is not sent again in this way while its alert is in force, unless with
            another `idempotency_key`.
        tell_again: Add a parameter to each info, so that citizens who were notified of its thread
            are interrupted again.

    Raises:
        BadInput: For what cannot be read, is not clear or would reach nobody.
        Forbidden: For what this principal may not send.
        KeyReused: For a key that came with another body.
        Conflict: For a CAP reference that came with other content.
    """
    prepared = await read_submission(
        data,
        principal=principal,
        max_bytes=max_bytes,
        clock=clock,
        now=now,
        tell_again=tell_again,
    )
    alert = prepared.alert
    request = requested(
        data,
        principal=principal,
        at=clock.now(),
        idempotency_key=idempotency_key,
        default_expiry_s=default_expiry_s,
        drill_roster_max=drill_roster_max,
        now=now,
        tell_again=tell_again,
    )
    async with db.begin() as connection:
        await lock_submission(connection, alert, request)
        accepted = await accept(connection, prepared, data, request)
    if accepted.plan_id is not None:
        notifier.notify(accepted.stored.lane)
    if not accepted.created:
        return accepted.answer()
    # After the workers were notified: this only informs.
    notes = [
        *await notes_on(alert, now=clock.now()),
        *accepted.notes,
        *await _silenced(db, alert, clock),
        *await interrupting(
            db,
            accepted.stored,
            clock=clock,
            all_channels_lanes=all_channels_lanes,
            discreet=not principal.may("read"),
        ),
    ]
    return accepted.answer(notes)


def requested(
    data: bytes,
    *,
    principal: Principal,
    at: datetime,
    idempotency_key: str | None,
    default_expiry_s: float,
    drill_roster_max: int,
    now: bool,
    tell_again: bool,
) -> Request:
    """The request that a submission of this document makes, or a dry run of it."""
    asked = hashlib.sha256(
        data + (b"now" if now else b"") + (b"tell-again" if tell_again else b"")
    ).digest()
    # Its times moved to now, no CAP reference tells a second submission from a new alert.
    retimed = now and idempotency_key is None
    return Request(
        principal,
        at,
        asked,
        key=f"now {asked.hex()}" if retimed else idempotency_key,
        default_expiry_s=default_expiry_s,
        drill_roster_max=drill_roster_max,
        while_in_force=retimed,
    )


async def _silenced(db: Database, alert: Alert, clock: Clock) -> list[str]:
    try:
        async with db.begin() as connection:
            return await silences.notes_on(connection, alert, clock.now())
    except Exception:
        # The alert is accepted already.
        log.exception("submission.silences_unread", alert=alert.identifier[:80])
        return []


async def read_submission(
    data: bytes,
    *,
    principal: Principal,
    max_bytes: int,
    clock: Clock,
    now: bool = False,
    tell_again: bool = False,
) -> Prepared:
    """Read the one alert of a submission, outside the event loop.

    Raises:
        BadInput: For what cannot be read or is not clear.
        Forbidden: For what this principal may not send.
    """

    def work() -> Prepared:
        return prepare(
            principal,
            data,
            read=partial(read_alert, max_bytes=max_bytes),
            now=clock.now() if now else None,
            tell_again=tell_again,
        )

    lock = _READING.setdefault(principal.actor, asyncio.Lock())
    async with lock:
        return await asyncio.get_running_loop().run_in_executor(_READERS, work)

"""Submit: the one way in. What it accepts is stored with the work it makes, or nothing is."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from weakref import WeakValueDictionary

from alerting.cap import read
from alerting.cap.refusal import refuse_costly, refuse_large, refuse_unclear
from alerting.clock import Clock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.evaluation import silences
from alerting.dispatch.intake.accept import accept, lock_submission
from alerting.dispatch.intake.authority import authorise
from alerting.dispatch.intake.findings import notes_on
from alerting.dispatch.intake.interrupting import interrupting
from alerting.dispatch.intake.submission import KeyReused, Prepared, Request, Submitted, prepare
from alerting.domain.alert import Alert
from alerting.domain.principal import Principal
from alerting.domain.retime import sent_now
from alerting.errors import BadInput
from alerting.observe.logs import logger
from alerting.store.db import Database

log = logger(__name__)

__all__ = ["KeyReused", "Submitted", "submit"]

#: Reads documents beside the event loop. More threads would only take turns on one interpreter.
_READERS = ThreadPoolExecutor(2, "documents")

#: Of each actor one document is read at a time, so that one who sends many large ones leaves a
#: reader to the others. A lock is kept for as long as somebody holds or awaits it.
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
    """Accept one alert, once, and start it on its way.

    The alert, its place in its thread, its plan in the outbox and the audit line are one
    transaction. Repeating a submission (same `idempotency_key` and body, or the same CAP reference
    and content) answers as the first time and changes nothing. The notes on an update say how many
    people it interrupts.

    now: the alert's times are moved so that it is sent at this moment (rehearsals, prepared texts);
    the same text is not sent so again while its alert is in force, unless another
    `idempotency_key` says so. tell_again: a parameter of each info says that citizens who
    were notified of its thread are interrupted again.

    Raises BadInput for what cannot be read, does not say for whom it is or would reach nobody,
    Forbidden for what this principal may not send, KeyReused for a key with another body, Conflict
    for a CAP reference with other content.
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
    # After the work is on its way: this only informs.
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
    """What is asked for by submitting this document at this moment, or by a dry run of that."""
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
    """The one alert of a person's submission as it would be accepted, read beside the event loop.

    Raises BadInput, and Forbidden for what this principal may not send.
    """

    def work() -> Prepared:
        alert = read_alert(data, max_bytes=max_bytes)
        # Before anything is worked out of it that may cost much.
        authorise(principal, alert)
        if now:
            alert = sent_now(alert, clock.now())
        return prepare(alert.told_again() if tell_again else alert)

    turn = _READING.setdefault(principal.actor, asyncio.Lock())
    async with turn:
        return await asyncio.get_running_loop().run_in_executor(_READERS, work)


def read_alert(data: bytes, *, max_bytes: int) -> Alert:
    """The one alert of a document that a person submits. Raises BadInput for what costs too much
    or is not clear."""
    if len(data) <= max_bytes:
        refuse_costly(data)
    alert = read_one(data, max_bytes=max_bytes)
    # Not in `read_one`: the notice that ends an alert of before these rules must pass.
    refuse_large(alert)
    refuse_unclear(alert)
    return alert


def read_one(data: bytes, *, max_bytes: int) -> Alert:
    """The one alert of a document. Raises BadInput."""
    reading = read(data, max_bytes=max_bytes)
    if not reading.alerts:
        raise BadInput(
            "This document holds no alert.",
            remedy="A feed only links to alerts: submit one of the documents it names."
            if reading.links
            else "Submit a CAP alert in XML or JSON.",
        )
    count = len(reading.alerts) + len(reading.refused)
    if count > 1:
        raise BadInput(f"This document holds {count} alerts.", remedy="Submit them one by one.")
    return reading.alerts[0]

"""Preview: reports what a submission would do, and changes nothing (dry run).

The real intake runs in a transaction that is rolled back, and the rules that decide deliveries are
applied to the audience. For a large audience the numbers are estimates from a sample, with their
margins of error.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import audience
from alerting.audience.sample import Sample, sample
from alerting.clock import Clock
from alerting.dispatch.ending import EndAudience
from alerting.dispatch.evaluation import silences
from alerting.dispatch.intake.accept import accept
from alerting.dispatch.intake.findings import findings
from alerting.dispatch.intake.foresee import Foreseen, Hears, foresee
from alerting.dispatch.intake.previewed import Preview, Spread, area_km2, texts
from alerting.dispatch.intake.submission import Prepared, Request, Submitted
from alerting.dispatch.intake.submit import read_submission, requested
from alerting.dispatch.placement.effect import ends_of
from alerting.dispatch.placement.place import Ends
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.citizen import Recipient
from alerting.domain.decision import Reason
from alerting.domain.language import primary
from alerting.domain.principal import Principal
from alerting.errors import BadInput
from alerting.settings import Settings
from alerting.store import audit_log
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.db import Database
from alerting.store.ledger import end_audience
from alerting.store.limits import limit_statements, took_too_long
from alerting.throttle.silence import silenced_by

#: Size of the sample; a smaller audience is evaluated completely.
_MOST = 2_000
#: The most recipients evaluated of an alert that is not for the public; it is not sampled.
_PARTICIPANTS = 20_000
#: Limits of each statement and of the whole: it may hold locks on rows that others wait for.
_TIMEOUT_MS = 3_000
_TIMEOUT_S = 20.0

#: States in which an alert is sent to nobody.
_UNSENT = frozenset({AlertState.RECORDED, AlertState.SUPERSEDED})


class TookTooLong(BadInput):
    """A dry run exceeded its time limit; nothing was changed."""

    title = "Took too long"

    def __init__(self) -> None:
        super().__init__(
            "The dry run took too long.",
            remedy="Try a smaller area, or try again: another submission may have delayed it.",
        )


@dataclass(frozen=True, slots=True)
class _Audience:
    """The recipients that are evaluated.

    Attributes:
        weight: How many people each of them represents.
        more: There are more recipients than these, and `weight` does not account for them.
    """

    recipients: list[Recipient]
    weight: float = 1.0
    more: bool = False


async def preview(
    db: Database,
    data: bytes,
    *,
    principal: Principal,
    clock: Clock,
    settings: Settings,
    idempotency_key: str | None = None,
    now: bool = False,
    tell_again: bool = False,
) -> Preview:
    """Report what submitting this document would do at this moment.

    A principal without the right `read` gets no details of fewer than `FEW` people. The audit log
    records who asked, and the size of the area and of the audience.

    Args:
        idempotency_key, now, tell_again: As in `submit`.

    Raises:
        TookTooLong: When it exceeds its time limit.
        BadInput, Forbidden, KeyReused, Conflict: As in `submit`.
    """
    most = settings.max_alert_bytes
    prepared = await read_submission(
        data, principal=principal, max_bytes=most, clock=clock, now=now, tell_again=tell_again
    )
    request = requested(
        data,
        principal=principal,
        at=clock.now(),
        idempotency_key=idempotency_key,
        default_expiry_s=settings.default_expiry_s,
        drill_roster_max=settings.drill_roster_max,
        now=now,
        tell_again=tell_again,
    )
    found = await _preview(db, data, prepared, request, clock, settings)
    looked = {"km2": round(found.area_km2, 1), "people": found.people.count}
    async with db.begin() as connection:
        name = prepared.alert.identifier
        await audit_log.record(connection, principal.actor, "alert.preview", name, looked)
    return found if principal.may("read") else found.discreet()


async def _preview(
    db: Database,
    data: bytes,
    prepared: Prepared,
    request: Request,
    clock: Clock,
    settings: Settings,
) -> Preview:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await _looked(db, data, prepared, request, clock, settings)
    except TimeoutError as e:
        raise TookTooLong from e
    except Exception as e:
        if took_too_long(e):
            raise TookTooLong from e
        raise


async def _looked(
    db: Database,
    data: bytes,
    prepared: Prepared,
    request: Request,
    clock: Clock,
    settings: Settings,
) -> Preview:
    alert = prepared.alert
    found, _ = await asyncio.to_thread(findings, alert, clock=clock, public_url=settings.public_url)
    odd = tuple(str(f) for f in found.findings)
    participants = await _participants(db, alert, now=request.now)
    async with _undone(db) as connection:
        await limit_statements(connection, _TIMEOUT_MS)
        # Without a lock, so that no submission waits for it: what it writes is never committed.
        accepted = await accept(connection, prepared, data, request, begin=False)
        stored = accepted.stored
        # No alert with this id will exist.
        notes = [note.replace(str(stored.id), "ALERT") for note in accepted.notes]
        submitted = accepted.answer(notes)
        if not submitted.created or submitted.state in _UNSENT:
            return Preview(submitted, odd=odd)
        return await _foreseen(
            connection, stored, submitted, participants, odd, request, settings=settings
        )


async def _foreseen(
    connection: AsyncConnection,
    stored: StoredAlert,
    submitted: Submitted,
    participants: _Audience | None,
    odd: tuple[str, ...],
    request: Request,
    *,
    settings: Settings,
) -> Preview:
    alert, now = stored.alert, request.now
    ends = await ends_of(connection, stored)
    found = participants or await _audience(connection, stored, ends, now=now)
    foreseen = await foresee(
        connection,
        stored,
        found.recipients,
        now=now,
        all_channels_lanes=settings.all_channels_lanes,
        ended={v.id for v in ends.ended},
    )
    languages = {r.citizen_id: r.language for r in found.recipients}
    spread = Spread(len(found.recipients), found.weight)
    spoken = {primary(i.language) for i in alert.infos}
    return Preview(
        submitted,
        odd=odd,
        people=spread.all,
        more=found.more,
        hears={how: spread.of(n) for how, n in _best(foreseen, languages).items()},
        channels={
            channel: spread.of(n)
            for channel, n in Counter(f.channel for f in foreseen if f.decision).most_common()
        },
        languages={
            language: spread.of(n) for language, n in Counter(languages.values()).most_common()
        },
        untranslated=spread.of(sum(primary(x) not in spoken for x in languages.values())),
        reasons={
            key: spread.of(n, of=len(foreseen)) for key, n in _reasons(foreseen).most_common()
        },
        ends=tuple(f"{v.alert.identifier} of {v.alert.sender}" for v in ends.ended),
        silenced_by=await _silences(connection, alert, foreseen, request),
        texts=await asyncio.to_thread(texts, alert, stored, foreseen, languages, spread, settings),
        area_km2=await asyncio.to_thread(area_km2, alert),
        expires_at=stored.expires_at,
    )


async def _audience(
    connection: AsyncConnection, stored: StoredAlert, ends: Ends[UUID], *, now: datetime
) -> _Audience:
    """A sample of a public alert's audience, or of those notified of the alerts it ends."""
    alert = stored.alert
    if not alert.ends:
        found: Sample = await sample(connection, alert, most=_MOST, now=now, seed=stored.id.int)
        return _Audience(found.recipients, found.weight)
    notified = EndAudience(connection, stored, alert)
    everywhere = not ends.rest or not await notified.holds_anybody(batch=_MOST)
    some, more = await _first(notified.recipients(batch=_MOST, everywhere=everywhere), _MOST)
    if not more or not everywhere:
        return _Audience(some, more=more)
    total, _ = await end_audience.count(connection, stored.event_id, stored.thread_id)
    return _Audience(some, max(1.0, total / len(some)))


async def _participants(db: Database, alert: Alert, *, now: datetime) -> _Audience | None:
    """The recipients of an alert that is not for the public; None for any other alert."""
    if alert.for_public or alert.ends:
        return None
    async with db.begin(patient=True) as connection:
        some, more = await _first(audience.find(connection, alert, now=now), _PARTICIPANTS)
    return _Audience(some, more=more)


async def _first(
    batches: AsyncGenerator[list[Recipient]], most: int
) -> tuple[list[Recipient], bool]:
    """At most `most` recipients, and whether there are more."""
    some: list[Recipient] = []
    async with aclosing(batches) as parts:
        async for part in parts:
            some += part
            if len(some) > most:
                return some[:most], True
    return some, False


@asynccontextmanager
async def _undone(db: Database) -> AsyncGenerator[AsyncConnection]:
    """A transaction that is always rolled back."""
    async with db.begin() as connection:
        try:
            yield connection
        finally:
            await connection.rollback()


def _best(foreseen: Collection[Foreseen], citizens: Collection[int]) -> Counter[Hears]:
    """How many people are notified in which way; of several channels the most urgent counts."""
    best: dict[int, Hears] = defaultdict(lambda: Hears.NOTHING)
    for one in foreseen:
        citizen_id = one.delivery.citizen_id
        best[citizen_id] = max(best[citizen_id], one.hears)
    return Counter(best[citizen_id] for citizen_id in citizens)


def _reasons(foreseen: Collection[Foreseen]) -> Counter[tuple[Hears, Reason | None]]:
    """The number of deliveries by outcome and reason."""
    return Counter((f.hears, f.decision.reason if f.decision else None) for f in foreseen)


async def _silences(
    connection: AsyncConnection, alert: Alert, foreseen: Collection[Foreseen], request: Request
) -> tuple[str, ...]:
    """The silences that keep some of these deliveries back, in words.

    A principal without the right `read` sees neither who made a silence nor whether it applies to
    anybody, which would show that somebody is there: all silences that match the alert are listed.
    """
    now, named = request.now, request.principal.may("read")
    standing = await silences.standing(connection, now)
    if named:
        hit = {
            (f.delivery.info_no, f.delivery.area_no)
            for f in foreseen
            if f.decision and f.decision.reason is Reason.SILENCED
        }
    else:
        hit = {(no, area) for no, i in enumerate(alert.infos) for area in range(len(i.areas) or 1)}
    found = {silenced_by(alert, *place, standing, now) for place in hit}
    return tuple(
        f"{s.id} until {s.ends_at.isoformat()}{by}: {s.comment}"
        for s in found
        if s
        for by in [f", by {s.created_by}" if named else ""]
    )

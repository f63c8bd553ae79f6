"""Accept: store an alert, its thread and its work in one transaction."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.database_register import DatabaseRegister
from alerting.cap import to_json
from alerting.dispatch.evaluation import policies, storm
from alerting.dispatch.intake.repeats import first_accepted, waits
from alerting.dispatch.intake.screening import Screened, screen
from alerting.dispatch.intake.submission import Accepted, Prepared, Request
from alerting.dispatch.intake.times import expiry, refuse_ahead
from alerting.dispatch.placement.database import DatabaseAlerts
from alerting.dispatch.placement.effect import record, start
from alerting.dispatch.placement.place import Place, place
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.domain.links import new_code
from alerting.drills import rosters
from alerting.store import audit_log
from alerting.store.admin import stored_alarms
from alerting.store.alerts import idempotency, stored_alerts, threads
from alerting.throttle.brake import may_wait
from alerting.throttle.events.placing import Placement
from alerting.throttle.hazard import hazard_of


async def lock_submission(connection: AsyncConnection, alert: Alert, request: Request) -> None:
    """Serialise submissions of one sender, about one sender's alerts or with one key, until the
    transaction ends."""
    names = {f"sender {alert.sender.lower()}", f"key {request.principal.actor} {request.key}"}
    names |= {f"sender {r.sender.lower()}" for r in alert.references}
    await threads.lock(connection, names)


async def accept(
    connection: AsyncConnection,
    prepared: Prepared,
    data: bytes,
    request: Request,
    *,
    begin: bool = True,
) -> Accepted:
    """Store an alert with its work, after `lock_submission` in the same transaction.

    A repetition answers as the first time and writes nothing.

    Args:
        data: The document that the alert was read from.
        begin: False for a transaction that will be rolled back, which needs no lock: it makes no
            work, ends nothing, and delays no alert that is submitted meanwhile.

    Raises:
        BadInput: For an alert that is sent ahead of time, has expired or would reach nobody.
        KeyReused, Conflict: See `first_accepted`.
        TooManyHeld: When too many alerts of this principal are held already.
    """
    first = await first_accepted(connection, prepared, request)
    if first is not None:
        return first
    alert, principal, now = prepared.alert, request.principal, request.now
    refuse_ahead(alert, now)
    expires_at = expiry(alert, now, request.default_expiry_s)
    if alert.is_drill:
        await rosters.require(connection, alert)
    rules = await policies.braking(connection, principal)
    earlier, register = DatabaseAlerts(connection), DatabaseRegister(connection)
    found = await place(
        earlier, alert, rules[0].same_event, principal, now=now, mine=prepared.signature
    )
    strict = [p for p in rules if may_wait(found.alert, found.lane, principal, p)]
    screened = await screen(
        earlier, register, found, principal, strict, test=prepared.test, now=now
    )
    if found.alert.is_drill and screened.state is AlertState.ACCEPTED:
        most = request.drill_roster_max
        if why := await rosters.too_many(connection, found.alert, most=most):
            screened = replace(screened, state=AlertState.HELD, reason=why)
    held = screened.state is AlertState.HELD
    if held:
        if begin:
            # Counted one after another, so that concurrent submissions cannot exceed the limit.
            await threads.lock(connection, {f"held {principal.person_id or principal.actor}"})
        await storm.refuse_held(connection, principal)
    alert_id = uuid4()
    stored = await stored_alerts.add(
        connection,
        found.alert,
        id=alert_id,
        # An uncommitted row with this reference would block the next submission of it.
        identifier=alert.identifier if begin else str(alert_id),
        order_at=found.order_at,
        lane=found.lane.value,
        thread_id=found.thread_id,
        event_id=found.event_id,
        event_reason=found.placement.reason,
        blocks=list(found.blocks),
        hazards=sorted({hazard_of(i) for i in alert.infos}),
        end_any=principal.may("end-any"),
        document=prepared.document if found.alert is alert else to_json(found.alert),
        source=data,
        source_hash=prepared.content_hash,
        state=screened.state.value,
        state_reason=screened.reason,
        expires_at=expires_at,
        submitted_at=now,
        submitted_by=principal.actor,
        submitted_person=principal.person_id,
        submitted_holders=sorted(principal.holders),
        code=new_code(),
    )
    await threads.join(connection, found.joined, into=found.thread_id)
    await record(connection, alert_id, found.placement, found.event_id, found.signature)
    if request.key is not None and begin:
        await idempotency.remember(connection, principal.actor, request.key, request.hash, alert_id)
    await _audit(connection, alert_id, stored.lane, screened, principal.actor)
    starts = begin and screened.state is AlertState.ACCEPTED
    plan_id = await start(connection, stored) if starts else None
    if held or (found.ends_nothing and not screened.reason):
        await _raise_alarm(connection, alert_id, found, screened)
    notes = (*found.notes, *_notes(found.placement, found.event_id, alert_id, screened))
    return Accepted(stored, True, notes, alert.repairs, found.ends_nothing, plan_id)


async def _audit(
    connection: AsyncConnection, alert_id: UUID, lane: Lane, screened: Screened, actor: str
) -> None:
    detail = {"lane": lane.value, "state": screened.state.value}
    await audit_log.record(connection, actor, "alert.submit", str(alert_id), detail)
    if screened.state is AlertState.HELD:
        await audit_log.record(
            connection, actor, "alert.hold", str(alert_id), {"why": screened.reason}
        )


async def _raise_alarm(
    connection: AsyncConnection, alert_id: UUID, found: Place[UUID], screened: Screened
) -> None:
    """Raise an alarm for an alert that is held, or for an end that ends nothing."""
    alert = found.alert
    if screened.state is AlertState.HELD:
        mark = f"{alert.status.upper()}: " if alert.is_drill else ""
        sentence = (
            f"{mark}Alert {alert.identifier} of {alert.sender} waits for a second person: "
            f"{screened.reason}"
        )
        await stored_alarms.open_(connection, stored_alarms.HELD, str(alert_id), sentence)
    else:
        sentence = f"Alert {alert.identifier} of {alert.sender} ended nothing: {found.notes[-1]}"
        await stored_alarms.open_(connection, "ends-nothing", str(alert_id), sentence)


def _notes(
    placed: Placement[UUID], event_id: UUID, alert_id: UUID, screened: Screened
) -> list[str]:
    """Notes for its sender: which event it was matched with, and why it is not sent now."""
    notes = list(screened.notes)
    if placed.question is not None:
        asked, likeness = placed.question
        notes.append(
            f"It may be about event {asked}, like {placed.like}; a coordinator should decide "
            f"(alerting event questions): {likeness.sentence}"
        )
    elif placed.like:
        notes.append(
            f"It was matched with event {placed.event}, like {placed.like}: {placed.reason} If it "
            f"is another danger: alerting event split {alert_id}"
        )
    if placed.merged:
        notes.append(
            f"It refers to alerts of {len(placed.merged) + 1} events, which are now merged: "
            f"event {event_id}."
        )
    if screened.state is AlertState.HELD:
        notes.append(waits(alert_id, screened.reason))
    elif screened.reason:
        notes.append(f"It will not be sent: {screened.reason}.")
    return notes

"""Accept: an alert, its thread and the work it makes, written in one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import to_json
from alerting.dispatch.evaluation import policies, storm
from alerting.dispatch.intake.authority import authorise
from alerting.dispatch.intake.repeats import repeat_of_reference, repeated, waits
from alerting.dispatch.intake.screening import Screened, screen
from alerting.dispatch.intake.submission import Accepted, Prepared, Request
from alerting.dispatch.intake.times import expiry, refuse_ahead
from alerting.dispatch.placement.database import DatabaseAlerts, DatabaseRegister
from alerting.dispatch.placement.effect import start
from alerting.dispatch.placement.place import Place, place, too_late
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import lane_of
from alerting.domain.links import new_code
from alerting.domain.principal import Principal
from alerting.drills import rosters
from alerting.store import audit_log
from alerting.store.admin import stored_alarms
from alerting.store.alerts import (
    alert_progress,
    idempotency,
    signatures,
    stored_alerts,
    stored_events,
    threads,
)
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.throttle.events.stored_signature import VERSION, to_bytes
from alerting.throttle.hazard import hazard_of


async def lock_submission(connection: AsyncConnection, alert: Alert, request: Request) -> None:
    """Let submissions of one sender, about one sender's alerts or with one key pass one after
    another. Held until the transaction ends."""
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
    """Write an alert with the work it makes.

    data: the document the alert was read from. begin: False for what will be rolled back: to make
    no work of it, to end nothing, and to stand in the way of no alert that is submitted meanwhile.
    Called after `lock_submission` in the same transaction, unless it is rolled back.
    A repetition answers as the first time and writes nothing. Raises Forbidden, BadInput,
    KeyReused, Conflict, TooManyHeld.
    """
    alert, principal = prepared.alert, request.principal
    authorise(principal, alert)
    known = await repeated(connection, request)
    if known is not None:
        return known
    duplicate = await stored_alerts.by_reference(connection, alert.triple)
    if duplicate is not None:
        return repeat_of_reference(duplicate, prepared.content_hash, alert)
    await rosters.require(connection, alert)
    refuse_ahead(alert, request.now)
    expires_at = expiry(alert, request.now, request.default_expiry_s)
    rules = await policies.braking(connection, principal)
    earlier = DatabaseAlerts(connection)
    found = await place(
        earlier,
        alert,
        rules[0].same_event,
        principal,
        now=request.now,
        mine=prepared.signature,
    )
    register = DatabaseRegister(connection)
    screened = await screen(earlier, register, found, principal, rules, now=request.now)
    if screened.state is AlertState.ACCEPTED:
        most = request.drill_roster_max
        if why := await rosters.too_many(connection, found.alert, most=most):
            screened = replace(screened, state=AlertState.HELD, reason=why)
    held = screened.state is AlertState.HELD
    if held:
        if begin:
            # Nobody who submits much at once passes the bound: counted one after another.
            await threads.lock(connection, {f"held {principal.person_id or principal.actor}"})
        await storm.refuse_held(connection, principal)
    alert_id = uuid4()
    stored = await _store(
        connection,
        alert_id,
        found,
        prepared,
        data,
        expires_at,
        screened,
        request if begin else replace(request, key=None),
        # A reference that is written and not committed has the next to write it wait, and fail.
        identifier=alert.identifier if begin else str(alert_id),
    )
    starts = begin and screened.state is AlertState.ACCEPTED
    plan_id = await start(connection, stored) if starts else None
    notes = [*found.notes, *screened.notes, *_notes(found, alert_id)]
    if held:
        notes.append(waits(alert_id, screened.reason))
    elif screened.reason:
        notes.append(f"It will not be sent: {screened.reason}.")
    await _raise_alarm(connection, alert_id, found, screened)
    return Accepted(stored, True, tuple(notes), alert.repairs, found.ends_nothing, plan_id)


async def let_go(
    connection: AsyncConnection, stored: StoredAlert, principal: Principal, *, now: datetime
) -> int | None:
    """Let a held alert take effect, by the word of `principal`; returns the id of its plan.

    What it is about is found anew; None where newer versions speak for everyone by now.
    """
    earlier, policy = DatabaseAlerts(connection), (await policies.live(connection)).policy
    found = await place(earlier, stored.alert, policy.same_event, principal, now=now, approved=True)
    values: dict[str, Any] = {
        "approved_by": principal.actor,
        "approved_person": principal.person_id,
        "state_reason": "",
        "end_any": True,
    }
    if found.joined:
        values |= {"thread_id": found.thread_id, "event_id": found.event_id}
        values["order_at"] = found.order_at
        await threads.join(connection, found.joined, into=found.thread_id)
        await _record(connection, stored.id, found)
    await stored_alarms.close(connection, stored_alarms.HELD, str(stored.id), by=principal.actor)
    thread_id = values.get("thread_id", stored.thread_id)
    if await too_late(earlier, stored.alert, thread_id, found.order_at):
        values["state_reason"] = "a newer version of its thread was here first"
        await alert_progress.set_state(connection, stored.id, AlertState.SUPERSEDED, **values)
        return None
    await alert_progress.set_state(connection, stored.id, AlertState.ACCEPTED, **values)
    return await start(connection, stored.but(state=AlertState.ACCEPTED, **values))


async def _store(
    connection: AsyncConnection,
    alert_id: UUID,
    found: Place[UUID],
    prepared: Prepared,
    data: bytes,
    expires_at: datetime,
    screened: Screened,
    request: Request,
    *,
    identifier: str,
) -> StoredAlert:
    alert, lane, actor = found.alert, lane_of(found.alert), request.principal.actor
    state = screened.state
    stored = await stored_alerts.add(
        connection,
        alert,
        id=alert_id,
        sender=alert.sender,
        identifier=identifier,
        sent_at=alert.sent,
        order_at=found.order_at,
        status=alert.status.value,
        msg_type=alert.msg_type.value,
        scope=alert.scope.value,
        lane=lane.value,
        thread_id=found.thread_id,
        event_id=found.event_id,
        event_reason=found.placement.reason,
        blocks=list(found.blocks),
        hazards=sorted({hazard_of(i) for i in alert.infos}),
        ends=alert.ends,
        end_any=request.principal.may("end-any"),
        document=prepared.document if alert is prepared.alert else to_json(alert),
        source=data,
        source_hash=prepared.content_hash,
        state=state.value,
        state_reason=screened.reason,
        expires_at=expires_at,
        submitted_at=request.now,
        submitted_by=actor,
        submitted_person=request.principal.person_id,
        submitted_holders=sorted(request.principal.holders),
        code=new_code(),
    )
    await threads.join(connection, found.joined, into=found.thread_id)
    await _record(connection, alert_id, found)
    if request.key is not None:
        await idempotency.remember(connection, actor, request.key, request.hash, alert_id)
    detail = {"lane": lane.value, "state": state.value}
    await audit_log.record(connection, actor, "alert.submit", str(alert_id), detail)
    if state is AlertState.HELD:
        await audit_log.record(
            connection, actor, "alert.hold", str(alert_id), {"why": screened.reason}
        )
    return stored


async def _record(connection: AsyncConnection, alert_id: UUID, found: Place[UUID]) -> None:
    """Write what placing an alert found out: what is compared of it, events made one, a question
    to answer."""
    body = to_bytes(found.signature)
    await signatures.keep(connection, {alert_id: body}, version=VERSION)
    for event_id in found.placement.merged:
        await stored_events.merge(connection, event_id, into=found.event_id)
    if found.placement.question is not None:
        event_id, likeness = found.placement.question
        await stored_events.ask(
            connection, alert_id, event_id, score=likeness.score, sentence=likeness.sentence
        )


async def _raise_alarm(
    connection: AsyncConnection, alert_id: UUID, found: Place[UUID], screened: Screened
) -> None:
    """Tell the operators of what waits for them, and of an end that ends nothing."""
    alert = found.alert
    if screened.state is AlertState.HELD:
        mark = f"{alert.status.upper()}: " if alert.is_drill else ""
        sentence = (
            f"{mark}Alert {alert.identifier} of {alert.sender} waits for a second person: "
            f"{screened.reason}"
        )
        await stored_alarms.open_(connection, stored_alarms.HELD, str(alert_id), sentence)
    elif found.ends_nothing and not screened.reason:
        sentence = f"Alert {alert.identifier} of {alert.sender} ended nothing: {found.notes[-1]}"
        await stored_alarms.open_(connection, "ends-nothing", str(alert_id), sentence)


def _notes(found: Place[UUID], alert_id: UUID) -> list[str]:
    """With what the alert is, or may be, one event, and how to say otherwise."""
    placed = found.placement
    notes = []
    if placed.question is not None:
        event_id, likeness = placed.question
        notes.append(
            f"It may tell of event {event_id}, like {placed.like}, which a coordinator should "
            f"decide (alerting event questions): {likeness.sentence}"
        )
    elif placed.like:
        notes.append(
            f"It is taken for event {placed.event}, like {placed.like}: {placed.reason} If it is "
            f"another danger: alerting event split {alert_id}"
        )
    if placed.merged:
        notes.append(
            f"It refers to alerts of {len(placed.merged) + 1} events, which are one from now "
            f"on: event {found.event_id}."
        )
    return notes

"""Accept: an alert, its thread and the work it makes, written in one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import called_a_test, to_json
from alerting.dispatch.effect import start
from alerting.dispatch.intake import events
from alerting.dispatch.intake.authority import authorise
from alerting.dispatch.intake.events import Place
from alerting.dispatch.intake.look import look
from alerting.dispatch.intake.repeats import repeat_of_triple, repeated, waits
from alerting.dispatch.intake.submission import Prepared, Request, Submitted
from alerting.dispatch.intake.times import expiry, refuse_ahead
from alerting.dispatch.judging import policies, storm
from alerting.domain.alert import Alert, MsgType, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import lane_of
from alerting.domain.links import new_code
from alerting.domain.principal import Principal
from alerting.drills import rosters
from alerting.store import alarms, alerts, audit, idempotency, threads
from alerting.store.alerts import StoredAlert
from alerting.throttle.cover import speaks_for
from alerting.throttle.hazard import hazard_of


async def take_turns(connection: AsyncConnection, alert: Alert, request: Request) -> None:
    """Let submissions of one sender, about one sender's alerts or with one key pass in turn."""
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
) -> tuple[Submitted, int | None]:
    """Write an alert with the work it makes; returns it and the id of its plan, where it has one.

    data: the document the alert was read from. begin: False for what will be rolled back: to make
    no work of it, to end nothing, and to stand in the way of no alert that is submitted meanwhile.
    Called after `take_turns` in the same transaction, unless it is rolled back.
    A repetition answers as the first time and writes nothing. Raises Forbidden, BadInput,
    KeyReused, Conflict, TooManyHeld.
    """
    alert = prepared.alert
    authorise(request.principal, alert)
    known = await repeated(connection, request)
    if known is not None:
        return known, None
    twin = await alerts.by_triple(connection, alert.triple)
    if twin is not None:
        return repeat_of_triple(twin, prepared.content_hash, alert), None
    await rosters.require(connection, alert)
    refuse_ahead(alert, request.now)
    expires_at = expiry(alert, request.now, request.default_expiry_s)
    policy = (await policies.live(connection)).policy
    found = await events.place(
        connection,
        alert,
        policy.same_event,
        request.principal,
        now=request.now,
        mine=prepared.signature,
    )
    looked = await look(connection, found.alert)
    state, reason = await _state(connection, found, request, looked.held)
    if state is AlertState.HELD:
        if begin:
            # Nobody who submits much at once passes the bound: counted in turn.
            await threads.lock(
                connection, {f"held {request.principal.person_id or request.principal.actor}"}
            )
        await storm.refuse_held(connection, request.principal)
    alert_id = uuid4()
    stored = await _store(
        connection,
        alert_id,
        found,
        prepared,
        data,
        expires_at,
        state,
        reason,
        request if begin else replace(request, key=None),
        # A triple that is written and not committed has the next to write it wait, and fail.
        identifier=alert.identifier if begin else str(alert_id),
    )
    starts = begin and state is AlertState.ACCEPTED
    plan_id = await start(connection, stored) if starts else None
    notes = [*found.notes, *looked.notes, *_notes(found, alert_id)]
    if state is AlertState.HELD:
        notes.append(waits(alert_id, reason))
        mark = f"{alert.status.upper()}: " if alert.is_drill else ""
        sentence = (
            f"{mark}Alert {alert.identifier} of {alert.sender} waits for a second person: {reason}"
        )
        await alarms.open_(connection, alarms.HELD, str(alert_id), sentence)
    elif reason:
        notes.append(f"It will not be sent: {reason}.")
    elif found.ends_nothing:
        sentence = f"Alert {alert.identifier} of {alert.sender} ended nothing: {found.notes[-1]}"
        await alarms.open_(connection, "ends-nothing", str(alert_id), sentence)
    submitted = Submitted(alert_id, True, stored.lane, state, tuple(notes), alert.repairs)
    return replace(submitted, ends_nothing=found.ends_nothing), plan_id


async def let_go(
    connection: AsyncConnection, stored: StoredAlert, principal: Principal, *, now: datetime
) -> int | None:
    """Let a held alert take effect, by the word of `principal`; returns the id of its plan.

    What it is about is found anew; None where newer versions speak for everyone by now.
    """
    alert, policy = stored.alert, (await policies.live(connection)).policy
    found = await events.place(
        connection, alert, policy.same_event, principal, now=now, approved=True
    )
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
        await events.record(connection, stored.id, found)
    await alarms.close(connection, alarms.HELD, str(stored.id), by=principal.actor)
    thread_id, order_at = values.get("thread_id", stored.thread_id), found.order_at
    if await late(connection, alert, thread_id, order_at):
        values["state_reason"] = "a newer version of its thread was here first"
        await alerts.set_state(connection, stored.id, AlertState.SUPERSEDED, **values)
        return None
    await alerts.set_state(connection, stored.id, AlertState.ACCEPTED, **values)
    return await start(connection, stored.but(state=AlertState.ACCEPTED, **values))


async def _state(
    connection: AsyncConnection, found: Place, request: Request, misplaced: str
) -> tuple[AlertState, str]:
    """What becomes of a new alert at first, and why. misplaced: why its areas need a look."""
    alert, lane = found.alert, lane_of(found.alert)
    if alert.msg_type in {MsgType.ACK, MsgType.ERROR}:
        return AlertState.RECORDED, f"{alert.msg_type} is kept, not sent"
    if alert.status in {Status.SYSTEM, Status.DRAFT}:
        return AlertState.RECORDED, f"status {alert.status} is never sent"
    if await late(connection, alert, found.thread_id, found.order_at):
        return AlertState.SUPERSEDED, "a newer version of its thread was here first"
    # Before anything is ended: what a second person may refuse must have stopped nothing.
    held = (
        found.held
        or _rehearsed(alert)
        or misplaced
        or await storm.too_many(connection, alert, lane, request.principal, now=request.now)
        or await storm.too_wide(connection, alert, lane, request.principal)
        or await rosters.too_many(connection, alert, most=request.drill_roster_max)
    )
    return (AlertState.HELD, held) if held else (AlertState.ACCEPTED, "")


def _rehearsed(alert: Alert) -> str:
    """Why a real alert that calls itself a test waits; "" for any other. An end never waits."""
    where = "" if alert.ends else called_a_test(alert)
    return where and f"It has status Actual and says that it is a test ({where})."


async def _store(
    connection: AsyncConnection,
    alert_id: UUID,
    found: Place,
    prepared: Prepared,
    data: bytes,
    expires_at: datetime,
    state: AlertState,
    reason: str,
    request: Request,
    *,
    identifier: str,
) -> StoredAlert:
    alert, lane, actor = found.alert, lane_of(found.alert), request.principal.actor
    stored = await alerts.add(
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
        state_reason=reason,
        expires_at=expires_at,
        submitted_at=request.now,
        submitted_by=actor,
        submitted_person=request.principal.person_id,
        submitted_holders=sorted(request.principal.holders),
        code=new_code(),
    )
    await threads.join(connection, found.joined, into=found.thread_id)
    await events.record(connection, alert_id, found)
    if request.key is not None:
        await idempotency.remember(connection, actor, request.key, request.hash, alert_id)
    detail = {"lane": lane.value, "state": state.value}
    await audit.record(connection, actor, "alert.submit", str(alert_id), detail)
    if state is AlertState.HELD:
        await audit.record(connection, actor, "alert.hold", str(alert_id), {"why": reason})
    return stored


def _notes(found: Place, alert_id: UUID) -> list[str]:
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


async def late(
    connection: AsyncConnection, alert: Alert, thread_id: UUID, order_at: datetime
) -> bool:
    """True when newer versions speak for everyone this one concerns."""
    newer = await threads.newer(connection, thread_id, order_at)
    return any(speaks_for(n.alert, alert) for n in newer)

"""Accept: an alert, its thread and the work it makes, written in one transaction."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import called_a_test, from_json, to_json
from alerting.cap.odd import AHEAD
from alerting.dispatch.intake import events
from alerting.dispatch.intake.authority import authorise
from alerting.dispatch.intake.events import Place
from alerting.dispatch.intake.look import look
from alerting.dispatch.intake.start import start
from alerting.dispatch.judging import policies, storm
from alerting.domain.alert import Alert, MsgType, Repair, Status
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.lane import Lane, lane_of
from alerting.domain.links import new_code
from alerting.domain.principal import Principal
from alerting.drills import rosters
from alerting.errors import BadInput, Conflict, NotFound
from alerting.store import alarms, alerts, audit, idempotency, threads
from alerting.store.alerts import StoredAlert
from alerting.throttle.cover import speaks_for
from alerting.throttle.events.hazard import hazard_of
from alerting.throttle.events.signature import Signature, signature

#: What is said of a text whose times are moved to now, and that was sent so before.
_SAME_TEXT = (
    "The same text was sent with its times moved to {stored.sent_at:%Y-%m-%d %H:%M:%S %Z} and is "
    "in force: nothing is sent anew. To send it all the same cancel that alert first, insist "
    "(--tell-again), or give an idempotency key of your own."
)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission. `created` is False when it had been accepted before.

    notes: what the coordinator should know though it is no error. ends_nothing: it ends a danger,
    and nothing is known here that it could end.
    """

    alert_id: UUID
    created: bool
    lane: Lane
    state: AlertState
    notes: tuple[str, ...]
    repairs: tuple[Repair, ...]
    ends_nothing: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.alert_id),
            "created": self.created,
            "lane": self.lane.value,
            "state": self.state.value,
            "notes": list(self.notes),
            "ends_nothing": self.ends_nothing,
            "repairs": [{"where": r.where, "what": r.what} for r in self.repairs],
        }


class KeyReused(Conflict):
    """The same idempotency key came with another body."""

    http_status = 422


@dataclass(frozen=True, slots=True)
class Request:
    """Who submits and when. `hash` is of what their idempotency key stands for, where they gave
    one; with `while_in_force` it stands for that only until the alert has ended or run out;
    `default_expiry_s` is how long an alert without an end is sent; `drill_roster_max` is how
    many members a drill may have without a second person."""

    principal: Principal
    now: datetime
    hash: bytes
    key: str | None = None
    default_expiry_s: float = 24 * 3600
    drill_roster_max: int = 500
    while_in_force: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """An alert and what is worked out of it by the processor alone, once.

    document: as it is stored. content_hash: equal for equal meaning, whatever the spelling of the
    document it came in.
    """

    alert: Alert
    document: dict[str, Any]
    content_hash: bytes
    signature: Signature


def prepare(alert: Alert) -> Prepared:
    """Takes tenths of a second for the largest alerts: call it beside the event loop."""
    document = to_json(alert)
    meant = {name: v for name, v in document.items() if name not in ("repairs", "remarks")}
    content = json.dumps(meant, sort_keys=True, default=str).encode()
    return Prepared(alert, document, hashlib.sha256(content).digest(), signature(alert))


async def take_turns(connection: AsyncConnection, alert: Alert, request: Request) -> None:
    """Let submissions of one sender, about one sender's alerts or with one key pass in turn."""
    names = {f"sender {alert.sender.lower()}", f"key {request.principal.actor} {request.key}"}
    names |= {f"sender {r.sender.lower()}" for r in alert.references}
    await threads.lock(connection, names)


async def repeated(connection: AsyncConnection, request: Request) -> Submitted | None:
    """What was accepted for this request's key before; None without a key or for a new one.

    Raises KeyReused.
    """
    if request.key is None:
        return None
    known = await idempotency.remembered(connection, request.principal.actor, request.key)
    if known is None:
        return None
    if request.while_in_force:
        stored = await alerts.get(connection, known[1])
        if stored is None or stored.state in ENDED or stored.expires_at <= request.now:
            return None
        notes = _since(stored) or (_SAME_TEXT.format(stored=stored),)
        return Submitted(stored.id, False, stored.lane, stored.state, notes, ())
    return await _repeat_of_key(connection, known, request.hash, request.key)


async def accept(
    connection: AsyncConnection,
    prepared: Prepared,
    data: bytes,
    request: Request,
    *,
    begin: bool = True,
) -> tuple[Submitted, int | None]:
    """Write an alert with the work it makes; returns it and the id of its plan, where it has one.

    data: the document the alert was read from. begin: False to make no work of it yet and to end
    nothing. Called after `take_turns` in the same transaction.
    A repetition answers as the first time and writes nothing. Raises Forbidden, BadInput,
    KeyReused, Conflict.
    """
    alert = prepared.alert
    authorise(request.principal, alert)
    known = await repeated(connection, request)
    if known is not None:
        return known, None
    twin = await alerts.by_triple(connection, alert.triple)
    if twin is not None:
        return _repeat_of_triple(twin, prepared.content_hash, alert), None
    await rosters.require(connection, alert)
    _refuse_ahead(alert, request.now)
    expires_at = _expiry(alert, request.now, request.default_expiry_s)
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
    alert_id = uuid4()
    stored = await _store(
        connection, alert_id, found, prepared, data, expires_at, state, reason, request
    )
    starts = begin and state is AlertState.ACCEPTED
    plan_id = await start(connection, stored) if starts else None
    notes = [*found.notes, *looked.notes, *_notes(found, alert_id)]
    if state is AlertState.HELD:
        notes.append(_waits(alert_id, reason))
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
    alert, policy = from_json(stored.document), (await policies.live(connection)).policy
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
    now_stored = await alerts.get(connection, stored.id)
    return None if now_stored is None else await start(connection, now_stored)


def _refuse_ahead(alert: Alert, now: datetime) -> None:
    if alert.sent > now + AHEAD:
        raise BadInput(
            f"The alert was sent at {alert.sent.isoformat()}, which is still to come: here it is "
            f"{now.astimezone(alert.sent.tzinfo).isoformat(timespec='seconds')}.",
            remedy="Correct `sent` and its offset, or submit it with its times moved to now "
            "(--now).",
        )


def _expiry(alert: Alert, now: datetime, default_expiry_s: float) -> datetime:
    """When sending must stop; an alert without an end gets one counted from now.

    Senders end a danger with a time that is already past. That is no end of the end.
    """
    default = now + timedelta(seconds=default_expiry_s)
    over = {i.expires for i in alert.infos if alert.ends_in(i) and (i.expires or now) <= now}
    ends = [default if i.expires is None or i.expires in over else i.expires for i in alert.infos]
    expires_at = max(ends, default=default)
    if expires_at <= now:
        raise BadInput(
            f"The alert expired at {expires_at.isoformat()}; an expired alert is never sent.",
            remedy="Correct `expires`, or submit it with its times moved to now (--now).",
        )
    if not alert.ends and not any(
        a.polygons or a.circles or a.geocodes for i in alert.infos for a in i.areas
    ):
        raise BadInput(
            "No info of this alert has an area with a polygon, circle or geocode, so nobody can "
            "be reached.",
            remedy="Add one.",
        )
    return expires_at


async def _repeat_of_key(
    connection: AsyncConnection, known: tuple[bytes, UUID], request_hash: bytes, key: str
) -> Submitted:
    first_hash, alert_id = known
    if first_hash != request_hash:
        raise KeyReused(
            f"The idempotency key {key!r} was used before with another body.",
            remedy="Use a new key for a new alert.",
        )
    stored = await alerts.get(connection, alert_id)
    if stored is None:
        raise Conflict(f"The alert of the idempotency key {key!r} has been removed.")
    return Submitted(alert_id, False, stored.lane, stored.state, _since(stored), ())


def _repeat_of_triple(twin: StoredAlert, content_hash: bytes, alert: Alert) -> Submitted:
    if twin.source_hash != content_hash:
        raise Conflict(
            f"{alert.sender} already sent an alert {alert.identifier} at that time with other "
            "content.",
            remedy="An issued alert never changes: send an Update that refers to it.",
        )
    return Submitted(twin.id, False, twin.lane, twin.state, _since(twin), alert.repairs)


def _since(stored: StoredAlert) -> tuple[str, ...]:
    """What has become of an alert that is submitted once more."""
    if stored.state is AlertState.HELD:
        return (_waits(stored.id, stored.state_reason),)
    if stored.state not in ENDED:
        return ()
    why = f" ({stored.state_reason})" if stored.state_reason else ""
    how = "kept for the record" if stored.state is AlertState.RECORDED else stored.state.value
    return (f"It was accepted before and has been {how}{why}: nothing is sent.",)


def _waits(alert_id: UUID, reason: str) -> str:
    return f"It waits for a second person (alerting approve {alert_id}): {reason}"


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
) -> StoredAlert:
    alert, lane, actor = found.alert, lane_of(found.alert), request.principal.actor
    await alerts.add(
        connection,
        alert.references,
        id=alert_id,
        sender=alert.sender,
        identifier=alert.identifier,
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
    stored = await alerts.get(connection, alert_id)
    if stored is None:
        raise NotFound(f"There is no alert {alert_id}.")
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
    return any(speaks_for(from_json(n.document), alert) for n in newer)

"""Accept: an alert, its thread and the work it makes, written in one transaction."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json, to_json
from alerting.dispatch.intake import events
from alerting.dispatch.intake.start import start
from alerting.dispatch.judging import policies, storm
from alerting.domain.alert import Alert, MsgType, Repair, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane, lane_of
from alerting.errors import BadInput, Conflict
from alerting.store import alerts, audit, idempotency, threads
from alerting.store.alerts import StoredAlert
from alerting.throttle.cover import covers
from alerting.throttle.events.hazard import hazard_of


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission. `created` is False when it had been accepted before.

    notes: what the coordinator should know though it is no error.
    """

    alert_id: UUID
    created: bool
    lane: Lane
    state: AlertState
    notes: tuple[str, ...]
    repairs: tuple[Repair, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.alert_id),
            "created": self.created,
            "lane": self.lane.value,
            "state": self.state.value,
            "notes": list(self.notes),
            "repairs": [{"where": r.where, "what": r.what} for r in self.repairs],
        }


class KeyReused(Conflict):
    """The same idempotency key came with another body."""

    http_status = 422


@dataclass(frozen=True, slots=True)
class Request:
    """Who submits and when. `hash` is of what their idempotency key stands for, where they gave
    one; `default_expiry_s` is how long an alert without an end is sent."""

    actor: str
    now: datetime
    hash: bytes
    key: str | None = None
    default_expiry_s: float = 24 * 3600


async def take_turns(connection: AsyncConnection, alert: Alert, request: Request) -> None:
    """Let submissions of the same triple, key or thread pass one after another."""
    names = {f"triple {alert.sender} {alert.identifier}", f"key {request.actor} {request.key}"} | {
        f"triple {r.sender} {r.identifier}" for r in alert.references
    }
    # In one order for everybody, so that two submissions never wait for each other.
    for lock in sorted(
        int.from_bytes(hashlib.blake2b(n.encode(), digest_size=8).digest(), "big", signed=True)
        for n in names
    ):
        await connection.execute(select(func.pg_advisory_xact_lock(lock)))


async def repeated(connection: AsyncConnection, request: Request) -> Submitted | None:
    """What was accepted for this request's key before; None without a key or for a new one.

    Raises KeyReused.
    """
    if request.key is None:
        return None
    known = await idempotency.remembered(connection, request.actor, request.key)
    if known is None:
        return None
    return await _repeat_of_key(connection, known, request.hash, request.key)


async def accept(
    connection: AsyncConnection, alert: Alert, data: bytes, request: Request
) -> tuple[Submitted, int | None]:
    """Write an alert with the work it makes; returns it and the id of its plan, where it has one.

    data: the document the alert was read from. Called after `take_turns` in the same transaction.
    A repetition answers as the first time and writes nothing. Raises BadInput, KeyReused, Conflict.
    """
    known = await repeated(connection, request)
    if known is not None:
        return known, None
    content_hash = _content_hash(alert)
    twin = await alerts.by_triple(connection, alert.triple)
    if twin is not None:
        return _repeat_of_triple(twin, content_hash, alert), None
    submitted, notes = await _store(
        connection,
        alert,
        data,
        content_hash,
        expires_at=_expiry(alert, request.now, request.default_expiry_s),
        actor=request.actor,
        now=request.now,
    )
    if request.key is not None:
        await idempotency.remember(
            connection, request.actor, request.key, request.hash, submitted.alert_id
        )
    plan_id = None
    if submitted.state is AlertState.ACCEPTED:
        plan_id = await start(connection, submitted.alert_id)
    return replace(submitted, notes=tuple(notes)), plan_id


def _expiry(alert: Alert, now: datetime, default_expiry_s: float) -> datetime:
    """When sending must stop; an alert without an end gets one counted from now."""
    expires_at = alert.expires_at or now + timedelta(seconds=default_expiry_s)
    if expires_at <= now:
        raise BadInput(
            f"The alert expired at {expires_at.isoformat()}; an expired alert is never sent.",
            remedy="Correct `expires`, or submit it with its times moved to now (--now).",
        )
    if alert.msg_type in {MsgType.ALERT, MsgType.UPDATE} and not any(
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
    return Submitted(alert_id, False, stored.lane, stored.state, (), ())


def _repeat_of_triple(twin: StoredAlert, content_hash: bytes, alert: Alert) -> Submitted:
    if twin.source_hash != content_hash:
        raise Conflict(
            f"{alert.sender} already sent an alert {alert.identifier} at that time with other "
            "content.",
            remedy="An issued alert never changes: send an Update that refers to it.",
        )
    return Submitted(twin.id, False, twin.lane, twin.state, (), alert.repairs)


async def _store(
    connection: AsyncConnection,
    alert: Alert,
    data: bytes,
    content_hash: bytes,
    *,
    expires_at: datetime,
    actor: str,
    now: datetime,
) -> tuple[Submitted, list[str]]:
    alert_id, lane, notes = uuid4(), lane_of(alert), []
    policy = (await policies.live(connection)).policy
    found = await events.place(connection, alert, policy.same_event)
    if alert.references and not found.linked:
        notes.append("None of the alerts it refers to is known here; it starts a thread.")
    if found.placement.question is not None:
        event_id, likeness = found.placement.question
        notes.append(
            f"It may tell of event {event_id}, which a coordinator should decide: "
            f"{likeness.sentence}"
        )
    state, reason = AlertState.ACCEPTED, ""
    if alert.msg_type in {MsgType.ACK, MsgType.ERROR}:
        state, reason = AlertState.RECORDED, f"{alert.msg_type} is kept, not sent"
    elif alert.status in {Status.SYSTEM, Status.DRAFT}:
        state, reason = AlertState.RECORDED, f"status {alert.status} is never sent"
    elif await _late(connection, alert, found.thread_id):
        state, reason = AlertState.SUPERSEDED, "a newer version of its thread was here first"
    else:
        held = await storm.too_many(connection, alert, lane, policy, now=now)
        if held is not None:
            state, reason = AlertState.HELD, held
    await alerts.add(
        connection,
        alert.references,
        id=alert_id,
        sender=alert.sender,
        identifier=alert.identifier,
        sent_at=alert.sent,
        status=alert.status.value,
        msg_type=alert.msg_type.value,
        scope=alert.scope.value,
        lane=lane.value,
        thread_id=found.thread_id,
        event_id=found.event_id,
        event_reason=found.placement.reason,
        blocks=list(found.blocks),
        hazards=sorted({hazard_of(i) for i in alert.infos}),
        document=to_json(alert),
        source=data,
        source_hash=content_hash,
        state=state.value,
        state_reason=reason,
        expires_at=expires_at,
        submitted_by=actor,
    )
    await events.record(connection, alert_id, found)
    if state is AlertState.HELD:
        notes.append(f"It waits for a second person (alerting approve {alert_id}): {reason}")
    elif reason:
        notes.append(f"It will not be sent: {reason}.")
    await audit.record(
        connection, actor, "alert.submit", str(alert_id), {"lane": lane.value, "state": state.value}
    )
    return Submitted(alert_id, True, lane, state, (), alert.repairs), notes


async def _late(connection: AsyncConnection, alert: Alert, thread_id: UUID) -> bool:
    """True when newer versions speak for everyone this one concerns."""
    newer = await threads.newer(connection, thread_id, alert.sent)
    return any(n.msg_type == MsgType.CANCEL or covers(from_json(n.document), alert) for n in newer)


def _content_hash(alert: Alert) -> bytes:
    """Equal for equal meaning, whatever the spelling of the document it came in."""
    document = json.dumps(
        to_json(replace(alert, repairs=(), remarks=())), sort_keys=True, default=str
    )
    return hashlib.sha256(document.encode()).digest()

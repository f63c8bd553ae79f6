"""Submit: the one way in. What it accepts is stored with the work it makes, or nothing is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json, read, to_json
from alerting.clock import Clock
from alerting.dispatch import events, policies, storm
from alerting.dispatch.broker import Doorbell
from alerting.dispatch.start import start
from alerting.domain.alert import Alert, MsgType, Repair, Status
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane, lane_of
from alerting.domain.retime import sent_now
from alerting.errors import BadInput, Conflict
from alerting.store import alerts, audit, idempotency, outbox, threads
from alerting.store.alerts import StoredAlert
from alerting.store.db import Database
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


async def submit(
    db: Database,
    data: bytes,
    *,
    actor: str,
    clock: Clock,
    doorbell: Doorbell,
    idempotency_key: str | None = None,
    max_bytes: int = 2_000_000,
    default_expiry_s: float = 24 * 3600,
    now: bool = False,
) -> Submitted:
    """Accept one alert, once, and start it on its way.

    The alert, its place in its thread, its plan in the outbox and the audit line are one
    transaction. Repeating a submission (same `idempotency_key` and body, or the same CAP triple
    and content) answers as the first time and changes nothing. With `now` the alert's times are
    moved so that it is sent at this moment (rehearsals, prepared texts).

    Raises BadInput for what cannot be read or would reach nobody, KeyReused for a key with another
    body, Conflict for a CAP triple with other content.
    """
    alert, notes = _read_one(data, max_bytes)
    if now:
        alert = sent_now(alert, clock.now())
    content_hash = _content_hash(alert)
    request_hash = hashlib.sha256(data + (b"now" if now else b"")).digest()
    async with db.begin() as connection:
        await _take_turns(connection, alert, actor, idempotency_key)
        if idempotency_key is not None:
            known = await idempotency.remembered(connection, actor, idempotency_key)
            if known is not None:
                return await _repeat_of_key(connection, known, request_hash, idempotency_key)
        twin = await alerts.by_triple(connection, alert.triple)
        if twin is not None:
            return _repeat_of_triple(twin, content_hash, alert)
        expires_at = _expiry(alert, clock.now(), default_expiry_s)
        stored, more = await _store(
            connection,
            alert,
            data,
            content_hash,
            expires_at=expires_at,
            actor=actor,
            now=clock.now(),
        )
        if idempotency_key is not None:
            await idempotency.remember(
                connection, actor, idempotency_key, request_hash, stored.alert_id
            )
        plan_id = None
        if stored.state is AlertState.ACCEPTED:
            plan_id = await start(connection, stored.alert_id)
    if plan_id is not None and await doorbell.ring(stored.lane, [plan_id]):
        async with db.begin() as connection:
            await outbox.rung(connection, [plan_id])
    return replace(stored, notes=(*notes, *more))


def _read_one(data: bytes, max_bytes: int) -> tuple[Alert, list[str]]:
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
    alert = reading.alerts[0]
    notes = [f"{r.where}: {r.what}" for r in alert.remarks]
    if not alert.for_public and not alert.addresses:
        notes.append(
            f"An alert with status {alert.status} and scope {alert.scope} reaches only the "
            "participants its addresses name, and it names none: nobody will receive it."
        )
    return alert, notes


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


async def _take_turns(
    connection: AsyncConnection, alert: Alert, actor: str, key: str | None
) -> None:
    """Let submissions of the same triple, key or thread pass one after another."""
    names = {f"triple {alert.sender} {alert.identifier}", f"key {actor} {key}"} | {
        f"triple {r.sender} {r.identifier}" for r in alert.references
    }
    # In one order for everybody, so that two submissions never wait for each other.
    for lock in sorted(
        int.from_bytes(hashlib.blake2b(n.encode(), digest_size=8).digest(), "big", signed=True)
        for n in names
    ):
        await connection.execute(select(func.pg_advisory_xact_lock(lock)))


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

"""Cancel: ends an alert in one step. Its notice is an alert and is sent like any other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import to_xml
from alerting.cap.reader import read_one
from alerting.clock import Clock
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.evaluation.chunk_evaluator import ended_as
from alerting.dispatch.intake.accept import accept, lock_submission
from alerting.dispatch.intake.cancel_notice import notice_of
from alerting.dispatch.intake.repeats import repeated
from alerting.dispatch.intake.submission import Request, Submitted, prepare
from alerting.dispatch.pruned import refuse_pruned
from alerting.domain.alert_state import AlertState
from alerting.domain.authority import authorise, authorise_end
from alerting.domain.principal import Principal
from alerting.errors import BadInput, Conflict, NotFound
from alerting.store import audit_log
from alerting.store.alerts import stored_alerts, threads
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.db import Database
from alerting.store.ledger import end_audience
from alerting.store.work import halt

MAX_REASON = 1000

#: The most attempts: another submission may change the thread while it is read.
_ATTEMPTS = 10

#: Chunks revoked in one transaction.
_CHUNKS = 20

#: Deliveries that wait for digests, revoked in one transaction.
_DEFERRED = 2000

_REASONS = {s: ended_as(s)[1] for s in (AlertState.CANCELLED, AlertState.SUPERSEDED)}


@dataclass(frozen=True, slots=True)
class Standing:
    """Another alert of the same event that is still in force.

    Attributes:
        citizens: How many are not notified of the end of the danger as long as it is.
    """

    alert_id: UUID
    identifier: str
    sender: str
    citizens: int

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.alert_id),
            "identifier": self.identifier,
            "sender": self.sender,
            "citizens": self.citizens,
        }


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancel did, or in a dry run would do.

    Attributes:
        state, reason: Of the alert; they say how it ended if it had ended before.
        ended: The alerts it ended; empty when they had ended before.
        notice: The Cancel that is sent; None in a dry run or when nothing was left to end.
        citizens: How many were, or may have been, notified of the danger and not yet of its end.
        reached: Their addresses by channel.
        standing: Other alerts in force, for which some of them are not notified of the end now.
    """

    alert_id: UUID
    state: AlertState
    reason: str
    ended: tuple[UUID, ...] = ()
    notice: Submitted | None = None
    dry_run: bool = False
    citizens: int = 0
    reached: dict[str, int] = field(default_factory=dict)
    standing: tuple[Standing, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.alert_id),
            "state": self.state.value,
            "reason": self.reason,
            "ended": [str(i) for i in self.ended],
            "notice": self.notice.to_json() if self.notice else None,
            "dry_run": self.dry_run,
            "citizens": self.citizens,
            "reached": self.reached,
            "standing": [s.to_json() for s in self.standing],
        }


async def cancel(
    db: Database,
    alert_id: UUID,
    *,
    principal: Principal,
    clock: Clock,
    notifier: WorkNotifier,
    also: Sequence[UUID] = (),
    reason: str = "",
    false_alarm: bool = False,
    dry_run: bool = False,
    idempotency_key: str | None = None,
    valid_s: float = 24 * 3600,
) -> Cancelled:
    """End an alert and all live versions of its thread, and notify those it reached.

    One transaction ends them, takes their unsent work away from workers and stores the notice. When
    this returns, no provider call begins for them any more, except in windows that workers have
    open. Cancelling an alert that has ended changes nothing; nor does repeating an
    `idempotency_key`. Call `revoke_all` afterwards.

    Args:
        also: Further alerts with the same identifier, which end with it.
        reason: The coordinator's words for citizens, at most `MAX_REASON` characters.
        false_alarm: The notice says that there was no danger.
        dry_run: Report what it would do and change nothing.
        valid_s: For how many seconds the notice is sent.

    Raises:
        NotFound: When there is no such alert.
        Forbidden: For a principal that may not end this sender's alerts.
        KeyReused: For a key that came with another body.
        BadInput: For a reason that is too long.
        Gone: When the records of whom it reached were pruned.
        Conflict: When other submissions keep changing the thread.
    """
    if len(reason) > MAX_REASON:
        raise BadInput(f"The reason is longer than {MAX_REASON:,} characters.")
    asked = json.dumps([str(alert_id), reason, false_alarm]).encode()
    request = Request(
        principal, clock.now(), hashlib.sha256(asked).digest(), idempotency_key, valid_s
    )
    for _ in range(_ATTEMPTS):
        async with db.begin() as connection:
            stored = await _get(connection, alert_id)
            authorise_end(principal, stored.sender)
            first = await repeated(connection, request)
            if first is not None:
                return await _as_it_stands(connection, stored, request.now, notice=first.answer())
            meant = [stored, *await stored_alerts.get_many(connection, also)]
            thread_ids = {one.thread_id for one in meant}
            versions = await _standing(connection, thread_ids, principal)
            if not versions:
                await refuse_pruned(connection, stored)
                return await _as_it_stands(connection, stored, request.now, dry_run=dry_run)
            notice = notice_of(
                [v.alert for v in sorted(versions, key=lambda v: v.order_at)],
                now=request.now,
                reason=reason,
                false_alarm=false_alarm,
                valid_s=valid_s,
            )
            if dry_run:
                # A dry run refuses what cancelling would refuse.
                authorise(principal, notice)
                return await _as_it_stands(
                    connection, stored, request.now, versions=versions, dry_run=True
                )
            await lock_submission(connection, notice, request)
            if _ids(await _standing(connection, thread_ids, principal)) != _ids(versions):
                continue
            answer = await _as_it_stands(connection, stored, request.now, versions=versions)
            data = to_xml(notice)
            prepared = prepare(principal, data, read=partial(read_one, max_bytes=len(data)))
            accepted = await accept(connection, prepared, data, request)
            detail = {
                "why": reason,
                "false_alarm": false_alarm,
                "notice": str(accepted.stored.id),
                "told": answer.citizens,
            }
            for one in versions:
                await audit_log.record(
                    connection, principal.actor, "alert.cancel", str(one.id), detail
                )
        if accepted.plan_id is not None:
            notifier.notify(accepted.stored.lane)
        async with db.begin() as connection:
            stored = await _get(connection, alert_id)
        return replace(
            answer, state=stored.state, reason=stored.state_reason, notice=accepted.answer()
        )
    raise Conflict("Other submissions keep changing this alert.", remedy="Cancel it again.")


async def revoke_all(db: Database, clock: Clock, ended: Sequence[UUID]) -> int:
    """Record the unsent deliveries of these alerts as revoked; returns the number of chunks.

    If this process ends before it is done, maintenance completes it.
    """
    reason, waits = _REASONS[AlertState.CANCELLED], _DEFERRED
    while waits == _DEFERRED:
        async with db.begin() as connection:
            waits = await halt.call_back_deferred(
                connection, ended, reason, limit=_DEFERRED, now=clock.now()
            )
    total = 0
    while True:
        async with db.begin() as connection:
            count = await halt.call_back(connection, _REASONS, chunks=_CHUNKS, now=clock.now())
        if not count:
            return total
        total += count


async def revoke_some(connection: AsyncConnection, *, chunks: int, now: datetime) -> int:
    """One transaction's part of `revoke_all`; returns the number of chunks."""
    return await halt.call_back(connection, _REASONS, chunks=chunks, now=now)


async def _get(connection: AsyncConnection, alert_id: UUID) -> StoredAlert:
    stored = await stored_alerts.get(connection, alert_id)
    if stored is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return stored


async def _standing(
    connection: AsyncConnection, thread_ids: Collection[UUID], principal: Principal
) -> list[StoredAlert]:
    """The versions of these threads that are in force and that this principal may end."""
    found = await threads.in_force(connection, thread_ids)
    return [v for v in found if principal.may_end(v.sender)]


async def _as_it_stands(
    connection: AsyncConnection,
    stored: StoredAlert,
    now: datetime,
    *,
    versions: Sequence[StoredAlert] = (),
    notice: Submitted | None = None,
    dry_run: bool = False,
) -> Cancelled:
    thread_ids = {stored.thread_id, *(v.thread_id for v in versions)}
    rest = await threads.in_event(connection, stored.event_id, but=thread_ids, now=now)
    citizens, by_channel = await end_audience.count(connection, stored.event_id, stored.thread_id)
    kept_back = await end_audience.kept_back(
        connection, stored.event_id, stored.thread_id, [r.id for r in rest]
    )
    return Cancelled(
        stored.id,
        stored.state,
        stored.state_reason,
        ended=tuple(v.id for v in versions),
        notice=notice,
        dry_run=dry_run,
        citizens=citizens,
        reached=by_channel,
        standing=tuple(
            Standing(r.id, r.identifier, r.sender, kept_back[r.id])
            for r in rest
            if r.id in kept_back
        ),
    )


def _ids(versions: Sequence[StoredAlert]) -> set[UUID]:
    return {v.id for v in versions}

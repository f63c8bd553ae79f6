"""Cancel: end an alert in one step. Its notice goes the way of every alert."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json, to_xml
from alerting.clock import Clock
from alerting.dispatch.broker import Doorbell
from alerting.dispatch.intake.accept import Request, Submitted, accept, repeated, take_turns
from alerting.dispatch.intake.notice import notice_of
from alerting.dispatch.intake.submit import read_one
from alerting.dispatch.judging.verdict import ended_as
from alerting.dispatch.plan import ring
from alerting.dispatch.pruned import refuse_pruned
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.domain.language import best_info
from alerting.errors import BadInput, Conflict, NotFound
from alerting.store import alerts, outbox, planned, reached, revoke, threads
from alerting.store.alerts import StoredAlert
from alerting.store.db import Database
from alerting.store.planned import NewDelivery
from alerting.store.reached import Reached

MAX_REASON = 1000

#: Others may change the thread while we look at it; so often we look again.
_TURNS = 10

#: Chunks called back in one transaction.
_CHUNKS = 20

#: Deliveries in a chunk.
_CHUNK = 1000

_REASONS = {s: ended_as(s)[1] for s in (AlertState.CANCELLED, AlertState.SUPERSEDED)}


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancel did, or in a dry run would do.

    ended: the alerts it ended; empty when they had ended before, and then `state` and `reason` say
    how. notice: what goes out; None in a dry run or when nothing was left to end. reached: the
    addresses that were told or may have been, by channel: they and nobody else get the notice.
    """

    alert_id: UUID
    state: AlertState
    reason: str
    ended: tuple[UUID, ...] = ()
    notice: Submitted | None = None
    dry_run: bool = False
    reached: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.alert_id),
            "state": self.state.value,
            "reason": self.reason,
            "ended": [str(i) for i in self.ended],
            "notice": self.notice.to_json() if self.notice else None,
            "dry_run": self.dry_run,
            "reached": self.reached,
        }


async def cancel(
    db: Database,
    alert_id: UUID,
    *,
    actor: str,
    clock: Clock,
    doorbell: Doorbell,
    reason: str = "",
    false_alarm: bool = False,
    dry_run: bool = False,
    idempotency_key: str | None = None,
    valid_s: float = 24 * 3600,
) -> Cancelled:
    """End an alert and all live versions of its thread, and tell those it reached.

    One transaction ends them, takes what was not sent yet away from workers and stores the notice:
    when this returns no provider call begins for them any more but what is in a worker's open
    window. Cancelling what has ended changes nothing, and so does an `idempotency_key` used
    before. Follow it with `call_back_all`.

    Raises NotFound, KeyReused for a key with another body, BadInput for too long a reason, Gone
    where nobody knows any more whom it reached.
    """
    if len(reason) > MAX_REASON:
        raise BadInput(f"The reason is longer than {MAX_REASON:,} characters.")
    asked = json.dumps([str(alert_id), reason, false_alarm]).encode()
    request = Request(actor, clock.now(), hashlib.sha256(asked).digest(), idempotency_key, valid_s)
    for _ in range(_TURNS):
        async with db.begin() as connection:
            stored = await _get(connection, alert_id)
            first = await repeated(connection, request)
            if first is not None:
                return await _as_it_stands(connection, stored, notice=first)
            versions = await threads.standing(connection, stored.thread_id)
            if not versions:
                await refuse_pruned(connection, stored)
            if not versions or dry_run:
                return await _as_it_stands(connection, stored, versions=versions, dry_run=dry_run)
            notice = notice_of(
                [from_json(v.document) for v in versions],
                now=request.now,
                reason=reason,
                false_alarm=false_alarm,
                valid_s=valid_s,
            )
            await take_turns(connection, notice, request)
            if _ids(await threads.standing(connection, stored.thread_id)) != _ids(versions):
                continue
            data = to_xml(notice)
            notice, _ = read_one(data, max_bytes=len(data))
            submitted, plan_id = await accept(connection, notice, data, request)
        if plan_id is not None:
            await ring(db, doorbell, submitted.lane, [plan_id])
        async with db.begin() as connection:
            stored = await _get(connection, alert_id)
            return await _as_it_stands(connection, stored, versions=versions, notice=submitted)
    raise Conflict("Others keep changing this alert.", remedy="Cancel it again.")


async def call_back_all(db: Database, clock: Clock, ended: Sequence[UUID]) -> int:
    """Write into the ledger what these alerts had not sent, as called back; returns how many
    chunks. The sweeper does it too, should this process end before."""
    async with db.begin() as connection:
        reason = _REASONS[AlertState.CANCELLED]
        await revoke.call_back_deferred(connection, ended, reason, now=clock.now())
    total = 0
    while True:
        async with db.begin() as connection:
            count = await revoke.call_back(connection, _REASONS, chunks=_CHUNKS, now=clock.now())
        if not count:
            return total
        total += count


async def see_through(connection: AsyncConnection, *, now: datetime) -> dict[Lane, list[int]]:
    """The sweeper's part: go on calling back, and tell whom an ended alert's last windows reached.

    Returns the chunks to ring for, by lane.
    """
    await revoke.call_back(connection, _REASONS, chunks=_CHUNKS, now=now)
    chunk_ids: dict[Lane, list[int]] = defaultdict(list)
    for found in await reached.late(connection):
        stored = await _get(connection, found.alert_id)
        missed = await reached.missed(connection, found.alert_id)
        chunk_ids[stored.lane] += await _tell(connection, stored, missed)
        await reached.settle_late(connection, found)
    return dict(chunk_ids)


async def _tell(
    connection: AsyncConnection, stored: StoredAlert, missed: list[Reached]
) -> list[int]:
    """Chunks of a Cancel for these addresses."""
    if not missed:
        return []
    infos = list(enumerate(from_json(stored.document).infos))
    by_channel: dict[str, list[NewDelivery]] = defaultdict(list)
    for r in missed:
        info_no = best_info(infos, r.language)
        by_channel[r.channel].append(NewDelivery(r.citizen_id, r.address_id, info_no, -1))
    parts = [
        (channel, new[i : i + _CHUNK])
        for channel, new in by_channel.items()
        for i in range(0, len(new), _CHUNK)
    ]
    sizes = [(channel, len(part)) for channel, part in parts]
    chunk_ids = await outbox.add_chunks(connection, stored.id, stored.lane, sizes)
    for chunk_id, (channel, part) in zip(chunk_ids, parts, strict=True):
        await planned.add(connection, stored.id, [(chunk_id, channel, part)])
    await alerts.add_audience(connection, stored.id, len({r.citizen_id for r in missed}))
    return chunk_ids


async def _get(connection: AsyncConnection, alert_id: UUID) -> StoredAlert:
    stored = await alerts.get(connection, alert_id)
    if stored is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return stored


async def _as_it_stands(
    connection: AsyncConnection,
    stored: StoredAlert,
    *,
    versions: list[StoredAlert] | None = None,
    notice: Submitted | None = None,
    dry_run: bool = False,
) -> Cancelled:
    return Cancelled(
        stored.id,
        stored.state,
        stored.state_reason,
        ended=tuple(v.id for v in versions or ()),
        notice=notice,
        dry_run=dry_run,
        reached=await reached.reach(connection, stored.thread_id),
    )


def _ids(versions: list[StoredAlert]) -> set[UUID]:
    return {v.id for v in versions}

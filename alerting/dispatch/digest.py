"""Digest: at a citizen's slot, what was held back goes out as one message.

Every item ends in the ledger: in a digest, or with the reason why it was no longer worth sending.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.clock import Clock
from alerting.dispatch.history import Histories
from alerting.dispatch.verdict import ended_as
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.decision import Reason
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.store import alerts, deliveries, digests, outbox
from alerting.store.alerts import StoredAlert
from alerting.store.deliveries import NewDelivery, Settlement
from alerting.store.digests import DueItem
from alerting.store.schema import CHUNK_SPAN
from alerting.throttle.assess import INTERRUPTING, Repeat, assess
from alerting.throttle.stage import Stage, stage_of

#: Citizens served by one transaction.
_CITIZENS = 1000

#: Nothing that waits for a digest is grave enough to be repeated.
_NO_REPEAT = Repeat(float("inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class _Item:
    due: DueItem
    stored: StoredAlert
    stage: Stage


class Digests:
    """Makes digests. One at a time per database: call it under the sweeper's lock."""

    def __init__(self, clock: Clock, *, chunk_size: int) -> None:
        self._clock = clock
        self._chunk_size = chunk_size
        self._histories = Histories()

    async def flush(self, connection: AsyncConnection) -> list[int]:
        """Turn what is due of a batch of citizens into chunks; returns the chunks' ids.

        What of it is no longer worth sending is settled with its reason.
        """
        now = self._clock.now()
        due = await digests.due(connection, now=now, citizens=_CITIZENS)
        stored = await self._alerts(connection, {i.alert_id for i in due})
        items = [_Item(i, stored[i.alert_id], _stage(stored[i.alert_id], i)) for i in due]
        alive, settled = await self._sift(connection, items, now)
        await deliveries.settle(connection, settled, now=now)
        return await self._send(connection, alive)

    async def _alerts(
        self, connection: AsyncConnection, ids: Iterable[UUID]
    ) -> dict[UUID, StoredAlert]:
        found = {}
        for alert_id in ids:
            stored = await alerts.get(connection, alert_id)
            if stored is not None:
                found[alert_id] = stored
        return found

    async def _sift(
        self, connection: AsyncConnection, items: Sequence[_Item], now: datetime
    ) -> tuple[list[_Item], list[Settlement]]:
        """What still tells its citizen something, and the ends of the rest."""
        alive: list[_Item] = []
        settled: list[Settlement] = []
        newest: dict[tuple[int, int, UUID], _Item] = {}
        for item in items:
            end = _over(item, now)
            if end is not None:
                settled.append(end)
                continue
            # By address: two phones of one citizen both get the digest.
            key = (item.due.citizen_id, item.due.address_id, item.due.event_id)
            older = newest.get(key)
            if older is not None:
                settled.append(_settled(older, DeliveryState.REVOKED, Reason.SUPERSEDED))
            newest[key] = item
        by_alert: dict[UUID, list[_Item]] = defaultdict(list)
        for item in newest.values():
            by_alert[item.stored.id].append(item)
        for group in by_alert.values():
            known = await self._histories.of(
                connection, group[0].stored, [i.due.citizen_id for i in group], now=now
            )
            for item in group:
                past = known.get(item.due.citizen_id)
                told = [p for p in past.event if p.told or p.stage.ends] if past else []
                reason = assess(
                    item.stage, told, places=item.due.places, now=now, repeat=_NO_REPEAT
                ).reason
                if reason in INTERRUPTING:
                    alive.append(item)
                else:
                    settled.append(_settled(item, DeliveryState.SUPPRESSED, reason))
        return alive, settled

    async def _send(self, connection: AsyncConnection, items: Sequence[_Item]) -> list[int]:
        """One delivery per address, grouped by the alert that leads its digest."""
        leads: dict[tuple[UUID, str], list[tuple[_Item, list[_Item]]]] = defaultdict(list)
        ordered = sorted(items, key=lambda i: (i.due.citizen_id, i.due.address_id))
        for _, group in groupby(ordered, key=lambda i: (i.due.citizen_id, i.due.address_id)):
            together = sorted(group, key=_gravest_then_newest)
            leads[together[0].stored.id, together[0].due.channel].append((together[0], together))
        chunk_ids: list[int] = []
        for (alert_id, channel), all_of_it in leads.items():
            for start in range(0, len(all_of_it), self._chunk_size):
                part = all_of_it[start : start + self._chunk_size]
                chunk_ids.append(await self._chunk(connection, alert_id, channel, part))
        return chunk_ids

    async def _chunk(
        self,
        connection: AsyncConnection,
        alert_id: UUID,
        channel: str,
        part: Sequence[tuple[_Item, list[_Item]]],
    ) -> int:
        chunk_id = await outbox.add_digest(
            connection, alert_id, Lane.ROUTINE, channel=channel, size=len(part)
        )
        rows = [
            NewDelivery(
                lead.due.citizen_id,
                lead.due.address_id,
                lead.due.info_no,
                lead.due.area_no,
                lead.due.places,
            )
            for lead, _ in part
        ]
        await deliveries.add_chunk(connection, chunk_id, alert_id, channel, rows)
        carriers = {
            item.due.delivery_id: chunk_id * CHUNK_SPAN + seq
            for seq, (_, together) in enumerate(part)
            for item in together
        }
        await digests.assign(connection, carriers)
        return chunk_id


def _stage(stored: StoredAlert, item: DueItem) -> Stage:
    return stage_of(
        from_json(stored.document),
        item.info_no,
        key=stored.id,
        thread=stored.thread_id,
        expires_at=stored.expires_at,
    )


def _over(item: _Item, now: datetime) -> Settlement | None:
    state = item.stored.state
    if now >= min(item.stored.expires_at, item.stage.expires_at):
        state = AlertState.EXPIRED
    if state not in ENDED:
        return None
    end, reason = ended_as(state)
    return Settlement(item.due.delivery_id, end, reason)


def _settled(item: _Item, state: DeliveryState, reason: Reason) -> Settlement:
    return Settlement(item.due.delivery_id, state, reason.value)


def _gravest_then_newest(item: _Item) -> tuple[int, float]:
    return item.stage.severity.rank, -item.stage.sent_at.timestamp()

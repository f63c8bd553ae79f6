"""Digest: at a citizen's slot, sends the alerts that were held back as one message.

The ledger records every item: as sent in a digest, or with the reason why it was dropped.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.clock import Clock
from alerting.dispatch.documents import Documents
from alerting.dispatch.evaluation.chunk_evaluator import END_STATES
from alerting.dispatch.evaluation.history import Histories, Known
from alerting.domain.alert import Alert
from alerting.domain.decision import Reason
from alerting.domain.delivery import DeliveryState
from alerting.domain.lane import Lane
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.ledger import digests, planning
from alerting.store.ledger.digests import DueItem, Place
from alerting.store.ledger.outcomes import OutcomeRow, record_outcomes
from alerting.store.ledger.planning import NewDelivery
from alerting.store.schema import CHUNK_SPAN
from alerting.store.work import outbox
from alerting.throttle.digest_items import HeldItem, select_items
from alerting.throttle.phase import Phase, phase_of

#: The number of addresses processed before other tasks on the loop may run.
_STRETCH = 50


@dataclass(frozen=True, slots=True)
class _Item:
    due: DueItem
    held: HeldItem


class Digests:
    """Creates digests, in one process at a time: call it under the lock of its duty."""

    def __init__(
        self, clock: Clock, *, chunk_size: int, documents: Documents | None = None
    ) -> None:
        self._clock = clock
        self._chunk_size = chunk_size
        self._documents = documents or Documents()
        self._histories = Histories(self._documents)
        self._place: Place | None = None

    async def flush(self, connection: AsyncConnection, *, limit: int) -> tuple[list[int], bool]:
        """Turn the due items of up to `limit` citizens into chunks.

        Returns the ids of the chunks, and whether more items are due. Items that are not worth
        sending any more are recorded with their reason.
        """
        now = self._clock.now()
        due = await digests.due(connection, now=now, after=self._place, limit=limit)
        # Before the work: a batch that fails must not block those after it. It is retried when all
        # others have been processed.
        self._place = due.next_place
        items = await self._items(connection, due.items, now)
        settled: list[OutcomeRow] = []
        together: list[list[_Item]] = []
        # By address: two phones of one citizen both get the digest.
        items.sort(key=_address)
        for n, (_, group) in enumerate(groupby(items, key=_address)):
            by_key = {i.held.key: i for i in group}
            alive, gone = select_items([i.held for i in by_key.values()], now)
            settled += [_dropped_row(by_key[held.key], reason) for held, reason in gone]
            if alive:
                together.append([by_key[held.key] for held in alive])
            if n % _STRETCH == 0:
                await asyncio.sleep(0)
        await record_outcomes(connection, settled, now=now)
        return await self._send(connection, together), due.next_place is not None

    async def _items(
        self, connection: AsyncConnection, due: Sequence[DueItem], now: datetime
    ) -> list[_Item]:
        by_alert: dict[UUID, list[DueItem]] = defaultdict(list)
        for item in due:
            by_alert[item.alert_id].append(item)
        items: list[_Item] = []
        async for stored in self._documents.each(connection, by_alert):
            group = by_alert[stored.id]
            known = await self._histories.of(
                connection, stored, [i.citizen_id for i in group], now=now
            )
            steps = {no: _phase(stored, stored.alert, no) for no in {i.info_no for i in group}}
            for item in group:
                past = known.get(item.citizen_id)
                items.append(_Item(item, _held(stored, steps[item.info_no], item, past)))
        return items

    async def _send(
        self, connection: AsyncConnection, digests_: Sequence[list[_Item]]
    ) -> list[int]:
        """One delivery per address, grouped by the alert that leads its digest."""
        leads: dict[tuple[UUID, str], list[list[_Item]]] = defaultdict(list)
        for together in digests_:
            leads[together[0].due.alert_id, together[0].due.channel].append(together)
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
        part: Sequence[list[_Item]],
    ) -> int:
        (chunk_id,) = await outbox.add_chunks(
            connection, alert_id, Lane.ROUTINE, [(channel, len(part))], digest=True
        )
        rows = [
            NewDelivery(
                lead.due.citizen_id,
                lead.due.address_id,
                lead.due.info_no,
                lead.due.area_no,
                lead.due.places,
            )
            for lead, *_ in part
        ]
        await planning.add(connection, alert_id, [(chunk_id, channel, rows)])
        carriers = {
            item.due.delivery_id: chunk_id * CHUNK_SPAN + seq
            for seq, together in enumerate(part)
            for item in together
        }
        await digests.assign(connection, carriers)
        return chunk_id


def _address(item: _Item) -> tuple[int, int]:
    return item.due.citizen_id, item.due.address_id


def _phase(stored: StoredAlert, alert: Alert, info_no: int) -> Phase:
    return phase_of(
        alert,
        info_no,
        key=stored.id,
        thread=stored.thread_id,
        expires_at=stored.expires_at,
        order_at=stored.order_at,
    )


def _held(stored: StoredAlert, phase: Phase, item: DueItem, past: Known | None) -> HeldItem:
    return HeldItem(
        key=item.delivery_id,
        event=stored.event_id,
        phase=phase,
        state=stored.state,
        expires_at=stored.expires_at,
        places=item.places,
        history=past.event if past else (),
    )


def _dropped_row(item: _Item, reason: Reason) -> OutcomeRow:
    state = END_STATES.get(reason, DeliveryState.SUPPRESSED)
    return OutcomeRow(item.due.delivery_id, state, reason.value)

"""History: what the citizens of a chunk already know, in the form the throttle reads."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.dispatch.documents import Documents
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.ledger import citizen_history
from alerting.store.ledger.citizen_history import Brief, Earlier
from alerting.throttle.belief import Past
from alerting.throttle.phase import Phase, phase_of

#: The number of infos kept in memory, so that a long event is not read again for each chunk.
_KEPT = 2048


@dataclass(frozen=True, slots=True)
class Known:
    """One citizen's history: of the alert's own event, and of other events with its hazards."""

    event: list[Past] = field(default_factory=list)
    elsewhere: list[Past] = field(default_factory=list)


class Histories:
    """Reads histories on one event loop."""

    def __init__(self, documents: Documents | None = None) -> None:
        self._documents = documents or Documents()
        self._phases: OrderedDict[tuple[UUID, int], Phase] = OrderedDict()

    async def of(
        self,
        connection: AsyncConnection,
        stored: StoredAlert,
        citizen_ids: Sequence[int],
        *,
        now: datetime,
    ) -> dict[int, Known]:
        """What each of these citizens was told that concerns `stored`; citizens without history are
        left out.

        Costs nothing for the first alert of an event that resembles no other.
        """
        same = await citizen_history.of_event(connection, stored.event_id, but=stored.id)
        others: list[Brief] = []
        if stored.lane not in {Lane.EXTREME, Lane.SEVERE} and stored.hazards:
            others = await citizen_history.of_hazards(
                connection,
                stored.hazards,
                status=stored.status,
                scope=stored.scope,
                not_of=stored.event_id,
                now=now,
            )
        alerts = {b.id: b for b in (*same, *others)}
        rows = await citizen_history.earlier(connection, citizen_ids, list(alerts))
        await self._read(connection, rows)
        ends = {b.id: b.submitted_at for b in same if b.ends}
        if stored.ends:
            ends[stored.id] = stored.submitted_at
        found: dict[int, Known] = {}
        for row in rows:
            source = alerts[row.alert_id]
            known = found.setdefault(row.citizen_id, Known())
            past = known.event if source.event_id == stored.event_id else known.elsewhere
            past.append(self._past(source, row, ends))
        return found

    def _past(self, source: Brief, row: Earlier, ends: Mapping[UUID, datetime]) -> Past:
        phase = self._phases[row.alert_id, row.info_no]
        if phase.thread != source.thread_id:
            # Threads that turn out to be one are merged.
            phase = replace(phase, thread=source.thread_id)
        return Past(
            phase=phase,
            places=row.places,
            notified=row.notified,
            sure=row.sure,
            silent=bool(row.silent),
            over=source.state is AlertState.CANCELLED or source.ended_by in ends,
            at=row.at,
            waits=row.waits,
            open=row.open,
            replaced=source.state is AlertState.SUPERSEDED,
            over_at=ends.get(source.ended_by) if source.ended_by else None,
            partly=row.partly,
        )

    async def _read(self, connection: AsyncConnection, rows: Sequence[Earlier]) -> None:
        """Load the infos that these rows need and that are not in memory."""
        needed = dict.fromkeys((row.alert_id, row.info_no) for row in rows)
        new: dict[UUID, list[int]] = defaultdict(list)
        for alert_id, info_no in needed:
            if (alert_id, info_no) in self._phases:
                self._phases.move_to_end((alert_id, info_no))
            else:
                new[alert_id].append(info_no)
        async for source in self._documents.each(connection, new):
            for info_no in new[source.id]:
                self._phases[source.id, info_no] = phase_of(
                    source.alert,
                    info_no,
                    key=source.id,
                    thread=source.thread_id,
                    expires_at=source.expires_at,
                    order_at=source.order_at,
                )
        while len(self._phases) > max(_KEPT, len(needed)):
            self._phases.popitem(last=False)

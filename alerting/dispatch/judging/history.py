"""History: what the citizens of a chunk know already, put as the throttle reads it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.store import history
from alerting.store.alerts import StoredAlert
from alerting.store.history import Earlier
from alerting.throttle.assess import Past
from alerting.throttle.stage import Stage, stage_of

#: Stages of so many infos are kept, so that a long event is not read anew for each chunk.
_KEPT = 2048


@dataclass(frozen=True, slots=True)
class Known:
    """One citizen's past: of the alert's own event, and of other events of its hazards."""

    event: list[Past] = field(default_factory=list)
    elsewhere: list[Past] = field(default_factory=list)


class Histories:
    """Reads histories on one event loop."""

    def __init__(self) -> None:
        self._stages: OrderedDict[tuple[UUID, int], Stage] = OrderedDict()

    async def of(
        self,
        connection: AsyncConnection,
        stored: StoredAlert,
        citizen_ids: Sequence[int],
        *,
        now: datetime,
    ) -> dict[int, Known]:
        """What each of these citizens was told that bears on `stored`; nobody missing is told.

        Costs nothing for the first alert of an event that nothing else is like.
        """
        same = await history.of_event(connection, stored.event_id, but=stored.id)
        others: list[StoredAlert] = []
        if stored.lane not in {Lane.EXTREME, Lane.SEVERE} and stored.hazards:
            others = await history.of_hazards(
                connection, stored.hazards, status=stored.status, not_of=stored.event_id, now=now
            )
        alerts = {s.id: s for s in (*same, *others)}
        found: dict[int, Known] = {}
        for row in await history.earlier(connection, citizen_ids, list(alerts)):
            source = alerts[row.alert_id]
            known = found.setdefault(row.citizen_id, Known())
            past = known.event if source.event_id == stored.event_id else known.elsewhere
            past.append(self._past(source, row))
        return found

    def _past(self, source: StoredAlert, row: Earlier) -> Past:
        return Past(
            stage=self._stage(source, row.info_no),
            places=row.places,
            told=row.told,
            sure=row.sure,
            silent=bool(row.silent),
            over=source.state is AlertState.CANCELLED,
            at=row.at,
            waits=row.waits,
        )

    def _stage(self, source: StoredAlert, info_no: int) -> Stage:
        key = (source.id, info_no)
        found = self._stages.get(key)
        if found is None:
            alert: Alert = from_json(source.document)
            found = self._stages[key] = stage_of(
                alert,
                info_no,
                key=source.id,
                thread=source.thread_id,
                expires_at=source.expires_at,
            )
            if len(self._stages) > _KEPT:
                self._stages.popitem(last=False)
        return found

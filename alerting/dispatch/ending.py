"""The audience of an alert that says that a danger is over.

These are all citizens who were told of the danger by any alert of its event, wherever they are now,
and those for whom a provider is being called at this moment. An end that does not cover what it
refers to ends the danger only for citizens in its own areas.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import groupby
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.audience.gather import Ground, ground, of_citizens
from alerting.audience.zones import Zones
from alerting.domain.alert import Alert
from alerting.domain.citizen import Recipient, Target
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.citizens import candidates
from alerting.store.db import raw
from alerting.store.ledger import end_audience, planning
from alerting.store.ledger.end_audience import NotifiedAddress


class EndAudience:
    """Finds the audience of the end `stored`, whose content is `alert`."""

    def __init__(self, connection: AsyncConnection, stored: StoredAlert, alert: Alert) -> None:
        self._connection = connection
        self._stored = stored
        self._alert = alert
        self._zones = Zones(alert)
        self._ground: Ground | None = None

    async def holds_anybody(self, *, batch: int) -> bool:
        """True when somebody who was told is in the end's areas."""
        async with aclosing(self._notified(batch)) as parts:
            async for part in parts:
                if await self._inside([r.citizen_id for r in part]):
                    return True
        return False

    async def recipients(
        self, *, batch: int, everywhere: bool, not_planned_for: UUID | None = None
    ) -> AsyncGenerator[list[Recipient]]:
        """The citizens to notify that it is over, at the addresses that were told of the danger.

        Args:
            everywhere: Not only in the end's own areas.
            not_planned_for: Leave out citizens with a delivery for this alert.
        """
        async with aclosing(self._notified(batch)) as parts:
            async for part in parts:
                ids = list(dict.fromkeys(r.citizen_id for r in part))
                inside = await self._inside(ids)
                left_out = set() if everywhere else set(ids) - inside.keys()
                if not (self._alert.for_public or self._alert.is_drill):
                    left_out |= set(ids) - await candidates.belong(
                        await raw(self._connection), self._alert.addresses, ids
                    )
                if not_planned_for is not None:
                    left_out |= set(await planning.planned(self._connection, not_planned_for, ids))
                found = [
                    self._recipient(citizen_id, list(same), inside.get(citizen_id))
                    for citizen_id, same in groupby(part, key=lambda r: r.citizen_id)
                    if citizen_id not in left_out
                ]
                if found:
                    yield found

    def _notified(self, batch: int) -> AsyncGenerator[list[NotifiedAddress]]:
        return end_audience.notified(self._connection, self._stored, batch=batch)

    async def _inside(self, citizen_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Which of these citizens are in the end's areas: the zones and places hit, as bits."""
        if not self._zones.zones:
            return {}
        driver = await raw(self._connection)
        if self._ground is None:
            self._ground = await ground(driver, self._zones)
        hits = await of_citizens(driver, self._ground, citizen_ids)
        marks = zip(hits.zones.tolist(), hits.places.tolist(), strict=True)
        return dict(zip(hits.citizen_ids.tolist(), marks, strict=True))

    def _recipient(
        self, citizen_id: int, notified: Sequence[NotifiedAddress], hit: tuple[int, int] | None
    ) -> Recipient:
        language = notified[0].language
        zones, places = hit or (0, 0)
        if zones:
            info_no, area_no = self._zones.choose(zones, language)
        else:
            info_no, area_no = self._zones.ended(language)
        targets = tuple(Target(r.channel, r.address_id, True) for r in notified)
        return Recipient(citizen_id, language, info_no, area_no, targets, places)

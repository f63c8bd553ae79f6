"""Preference: keeps the providers' penalties up to date, and tells them to this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from alerting.clock import Clock
from alerting.dispatch.alarms import Alarms
from alerting.observe.logs import logger
from alerting.store import providers
from alerting.store.db import AWAY, Database
from alerting.throttle import preference
from alerting.throttle.preference import LATE_S, SPAN_S, Record

log = logger(__name__)

_EVERY_S = 30.0

#: The alarm for a provider that takes messages and delivers them late or not.
SLOW = "provider-slow"


class Preference:
    """For the channels with several providers. Lives on one event loop.

    names: the providers of each channel, as the settings have them.
    """

    def __init__(
        self, db: Database, clock: Clock, alarms: Alarms, names: Mapping[str, Sequence[str]]
    ) -> None:
        self._db = db
        self._clock = clock
        self._alarms = alarms
        self._names = {channel: list(n) for channel, n in names.items() if len(n) > 1}
        self._penalties: dict[str, int] = {}

    def penalties(self) -> Mapping[str, int]:
        """How much each provider is avoided, as last read."""
        return self._penalties

    async def look(self) -> None:
        """Judge the providers by their receipts and read what holds now."""
        if not self._names:
            return
        now = self._clock.now()
        async with self._db.begin() as connection:
            found = await providers.how_well(
                connection, list(self._names), now=now, span_s=SPAN_S, late_s=LATE_S
            )
            standing = await providers.standings(connection)
            told = {w.name: (w.told, w.late) for w in found}
            for channel, names in self._names.items():
                records = [
                    Record(
                        n,
                        *told.get(n, (0, 0)),
                        standing[n].penalty if n in standing else 0,
                        standing[n].changed_at if n in standing else None,
                    )
                    for n in names
                ]
                for change in preference.changes(records, now=now):
                    await providers.set_penalty(
                        connection, change.name, channel, change.penalty, change.reason, at=now
                    )
                    log.warning("provider.penalty", provider=change.name, penalty=change.penalty)
                    if change.penalty:
                        self._alarms.open(
                            SLOW,
                            change.name,
                            f"{change.name} is called later than the others: {change.reason}.",
                        )
                    else:
                        self._alarms.close(SLOW, change.name)
            standing = await providers.standings(connection)
        self._penalties = {name: s.penalty for name, s in standing.items()}

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Look again and again while the block lasts."""
        task = asyncio.create_task(self._forever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _forever(self) -> None:
        while self._names:
            with suppress(*AWAY):
                await self.look()
            await asyncio.sleep(_EVERY_S)

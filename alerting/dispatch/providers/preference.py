"""Preference: keeps the providers' penalties up to date, and tells them to this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from alerting.background import during
from alerting.clock import Clock
from alerting.dispatch.alarms import Alarms
from alerting.observe.logs import logger
from alerting.store import providers
from alerting.store.db import AWAY, Database
from alerting.store.providers import Standing, Well
from alerting.throttle import preference
from alerting.throttle.preference import LATE_S, SPAN_S, Record

log = logger(__name__)

#: How often penalties are read, and how often one of all processes judges.
READ_EVERY_S = 30.0
JUDGE_EVERY_S = 60.0

#: The alarm for a provider that takes messages and delivers them late or not.
SLOW = "provider-slow"


class Preference:
    """For the channels with several providers. Lives on one event loop.

    names: the providers of each channel, as the settings have them. mine: whether it is this
    process's turn to judge; judging reads every delivery of the last quarter of an hour.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        alarms: Alarms,
        names: Mapping[str, Sequence[str]],
        mine: Callable[[], Awaitable[bool]],
    ) -> None:
        self._db = db
        self._clock = clock
        self._alarms = alarms
        self._names = {channel: list(n) for channel, n in names.items() if len(n) > 1}
        self._mine = mine
        self._penalties: dict[str, int] = {}

    def penalties(self) -> Mapping[str, int]:
        """How much each provider is avoided, as last read."""
        return self._penalties

    async def look(self) -> None:
        """Read what holds now; judge before, if that is this process's turn."""
        if not self._names:
            return
        if await self._mine():
            await self.judge()
        async with self._db.begin() as connection:
            standings = await providers.standings(connection)
        self._penalties = {name: s.penalty for name, s in standings.items()}

    async def judge(self) -> None:
        """Set each provider's penalty by its receipts of late."""
        now = self._clock.now()
        async with self._db.begin() as connection:
            found = await providers.how_well(
                connection, list(self._names), now=now, span_s=SPAN_S, late_s=LATE_S
            )
            standings = await providers.standings(connection)
            well = {w.name: w for w in found}
            made = []
            for channel, names in self._names.items():
                records = [_record(n, well.get(n), standings.get(n)) for n in names]
                for change in preference.changes(records, now=now):
                    await providers.set_penalty(
                        connection, change.name, channel, change.penalty, change.reason, at=now
                    )
                    made.append(change)
        for change in made:
            log.warning(
                "provider.penalty",
                provider=change.name,
                penalty=change.penalty,
                reason=change.reason,
            )
            if change.penalty:
                self._alarms.open(
                    SLOW,
                    change.name,
                    f"{change.name} is called after the others: {change.reason}; "
                    "docs/runbooks/provider-down.md.",
                )
            else:
                self._alarms.close(SLOW, change.name)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Look again and again while the block lasts."""
        async with during(self._forever()):
            yield

    async def _forever(self) -> None:
        while self._names:
            try:
                await self.look()
            except AWAY:
                pass  # what was read last holds until the database is back
            except Exception:
                log.exception("provider.not_judged")
            await asyncio.sleep(READ_EVERY_S)


def _record(name: str, well: Well | None, standing: Standing | None) -> Record:
    record = Record(name)
    if well is not None:
        record = replace(
            record, told=well.told, arrived=well.arrived, late=well.late, silent=well.silent
        )
    if standing is not None:
        record = replace(record, penalty=standing.penalty, changed_at=standing.changed_at)
    return record

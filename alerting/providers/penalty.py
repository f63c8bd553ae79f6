"""Penalties: which of a channel's providers is called first, by how well each delivers.

A breaker sees a provider that refuses or does not answer. One that accepts everything and delivers
late, or not at all, is seen here, from receipts: it is called after the others until it has been
quiet for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alerting.background import background_task
from alerting.clock import Clock
from alerting.observe.logs import logger
from alerting.providers.alarm_sink import AlarmSink
from alerting.store.admin import providers
from alerting.store.admin.providers import Standing, Well
from alerting.store.db import AWAY, Database

log = logger(__name__)

#: How far back receipts count, and the shortest time between two changes of a penalty.
SPAN_S = 15 * 60.0
#: A message that arrives later than this is late.
LATE_S = 5 * 60.0
#: The share of late messages that raises the penalty by one step.
LATE_SHARE = 0.15
#: With fewer messages nothing is concluded.
LEAST = 50

STEP = 10
MOST = 100

#: How often penalties are read, and how often one of all processes reviews them.
READ_EVERY_S = 30.0
REVIEW_EVERY_S = 60.0

#: The alarm for a provider that accepts messages and delivers them late or not at all.
SLOW = "provider-slow"


@dataclass(frozen=True, slots=True)
class Record:
    """One provider's receipts within SPAN_S.

    accepted: messages it accepted. arrived: of them reported as delivered. late: delivered late, or
    lost. silent: due by now and not reported on.
    """

    name: str
    accepted: int = 0
    arrived: int = 0
    late: int = 0
    silent: int = 0
    penalty: int = 0
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A provider's new penalty and why."""

    name: str
    penalty: int
    reason: str


def changes(channel: Sequence[Record], *, now: datetime) -> list[Change]:
    """What changes among the providers of one channel; each changes at most once in SPAN_S.

    Where all that are known are bad, none is worse than another: then the fault is the network's,
    or ours. Silence counts only where some provider of the channel does report what arrives: mail
    relays never do, and where receipts are lost on their way to us nobody is at fault.
    """
    if len(channel) < 2:
        return []
    reports = any(r.arrived for r in channel)
    lost = {r.name: r.late + (r.silent if reports else 0) for r in channel}
    known = [r for r in channel if r.accepted >= LEAST]
    bad = {r.name for r in known if lost[r.name] >= LATE_SHARE * r.accepted}
    nobody_is_better = len(known) > 1 and len(bad) == len(known)
    found = []
    for r in channel:
        if r.changed_at is not None and now - r.changed_at < timedelta(seconds=SPAN_S):
            continue
        if r.name in bad and r.penalty < MOST and not nobody_is_better:
            share = f"{lost[r.name] / r.accepted:.0%} of {r.accepted:,}"
            reason = f"{share} messages came late or not at all"
            found.append(Change(r.name, min(MOST, r.penalty + STEP), reason))
        elif r.name not in bad and r.penalty:
            found.append(Change(r.name, max(0, r.penalty - STEP), "quiet"))
    return found


class Penalties:
    """The penalties of the channels with several providers. Lives on one event loop.

    names: the providers of each channel, in the order of the settings. elected: whether this
    process is the one to review them; that reads every delivery of the last quarter of an hour.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        alarms: AlarmSink,
        names: Mapping[str, Sequence[str]],
        elected: Callable[[], Awaitable[bool]],
    ) -> None:
        self._db = db
        self._clock = clock
        self._alarms = alarms
        self._names = {channel: list(n) for channel, n in names.items() if len(n) > 1}
        self._elected = elected
        self._penalties: dict[str, int] = {}

    def current(self) -> Mapping[str, int]:
        """Each provider's penalty, as last read."""
        return self._penalties

    async def refresh(self) -> None:
        """Read the penalties; review them before, if this process is elected."""
        if not self._names:
            return
        if await self._elected():
            await self.review()
        async with self._db.begin() as connection:
            standings = await providers.standings(connection)
        self._penalties = {name: s.penalty for name, s in standings.items()}

    async def review(self) -> None:
        """Set each provider's penalty by its recent receipts."""
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
                for change in changes(records, now=now):
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
    async def running(self) -> AsyncIterator[None]:
        """Refresh repeatedly while the block lasts."""
        async with background_task(self._forever()):
            yield

    async def _forever(self) -> None:
        while self._names:
            try:
                await self.refresh()
            except AWAY:
                pass  # the penalties last read hold until the database is back
            except Exception:
                log.exception("provider.not_reviewed")
            await asyncio.sleep(READ_EVERY_S)


def _record(name: str, well: Well | None, standing: Standing | None) -> Record:
    record = Record(name)
    if well is not None:
        record = replace(
            record, accepted=well.told, arrived=well.arrived, late=well.late, silent=well.silent
        )
    if standing is not None:
        record = replace(record, penalty=standing.penalty, changed_at=standing.changed_at)
    return record

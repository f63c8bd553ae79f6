"""Escalate: notifies citizens whom one channel did not reach by their next, while an alert is live.

Each delivery is escalated at most once.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.channels import registry
from alerting.dispatch import reach
from alerting.domain.lane import HIGH_PRIORITY_LANES, Lane
from alerting.drills import rosters, walls
from alerting.observe.logs import logger
from alerting.settings import Settings
from alerting.store.admin import stored_alarms
from alerting.store.alerts import stored_alerts
from alerting.store.ledger import escalations, planning, unreached
from alerting.store.ledger.escalations import Due
from alerting.store.ledger.planning import NewDelivery
from alerting.store.ledger.unreached import Step, Wait
from alerting.store.work import outbox

log = logger(__name__)

#: Shortest time between two checks of a chunk, as a share of its receipt time: the receipt times of
#: its deliveries end one after another.
_SELDOM = 0.1


def receipt_wait_s(lane: Lane, settings: Settings) -> float:
    """The receipt time of a lane, in seconds; 0 means none.

    A delivery counts as not reached when it was not accepted by then or, on a channel that reports
    deliveries, has not been reported as delivered.
    """
    match lane:
        case Lane.EXTREME:
            return settings.receipt_extreme_s
        case Lane.SEVERE:
            return settings.receipt_severe_s
        case _:
            return settings.receipt_routine_s


def wait_of(lane: Lane, settings: Settings, now: datetime) -> Wait:
    """The receipt time of a lane, counted from now, with the channels it applies to."""
    return Wait(now, receipt_wait_s(lane, settings), registry.reporting(), registry.names())


class Escalations:
    """Finds citizens who were not reached and writes the chunks for their next channel."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def write(
        self, connection: AsyncConnection, *, now: datetime, most: int
    ) -> tuple[int, set[Lane]]:
        """Check up to `most` chunks that are due, the longest due first.

        Returns how many were checked, and the lanes that have new chunks. For one process at a
        time.
        """
        lanes: set[Lane] = set()
        for count in range(most):
            chunk = await escalations.next_due(connection, now=now)
            if chunk is None:
                return count, lanes
            if await self._look(connection, chunk, now):
                lanes.add(chunk.lane)
        return most, lanes

    async def _look(self, connection: AsyncConnection, chunk: Due, now: datetime) -> list[int]:
        """Write chunks for the next channel of those whom a chunk did not reach; returns their
        ids."""
        wait = wait_of(chunk.lane, self._settings, now)
        known = await escalations.reports(connection, chunk, wait)
        # Without a single report for a whole chunk, the reports are more likely lost than the
        # messages. Only in high-priority lanes is everybody notified again on that suspicion.
        reporting = chunk.channel in wait.reporting
        no_reports = reporting and known.silent > 0 and not known.arrived and chunk.size > 1
        steps = await unreached.steps(
            connection,
            chunk.id,
            chunk.size,
            wait,
            believe_silence=not no_reports or chunk.lane in HIGH_PRIORITY_LANES,
        )
        if no_reports:
            await stored_alarms.open_(
                connection,
                "receipts-missing",
                chunk.channel,
                f"No receipt has come for any of the {known.silent} {chunk.channel} of a chunk. "
                "Check that the provider can reach ALERTING_PUBLIC_URL; docs/receipts.md.",
            )
        if steps:
            log.info("chunk.escalated", chunk=chunk.id, count=len(steps))
        if steps and chunk.lane is Lane.DRILL:
            steps = await self._of_members(connection, chunk, steps)
        made = await self._chunks(connection, chunk, steps)
        again = None
        if wait.wait_s and known.next_at is not None:
            again = max(known.next_at, now + timedelta(seconds=wait.wait_s * _SELDOM))
        await escalations.look_again(connection, chunk.id, again)
        if not made:
            await reach.update_alarms(connection, [chunk.alert_id], now=now)
        return made

    async def _of_members(
        self, connection: AsyncConnection, chunk: Due, steps: list[Step]
    ) -> list[Step]:
        """The steps of a drill, without former members; makes the passes of new addresses."""
        here = await walls.members(connection, chunk.alert_id, [s.citizen_id for s in steps])
        stored = await stored_alerts.get(connection, chunk.alert_id)
        if stored is not None:
            await rosters.prepare(connection, stored.addresses)
        return [s for s in steps if s.citizen_id in here]

    async def _chunks(
        self, connection: AsyncConnection, chunk: Due, steps: list[Step]
    ) -> list[int]:
        by_channel: dict[str, list[NewDelivery]] = defaultdict(list)
        for s in steps:
            by_channel[s.channel].append(
                NewDelivery(
                    s.citizen_id, s.address_id, s.info_no, s.area_no, s.places, follows=s.follows
                )
            )
        drill = chunk.lane is Lane.DRILL
        async with walls.guarded(connection, drill=drill):
            ids = await outbox.add_chunks(
                connection,
                chunk.alert_id,
                chunk.lane,
                [(channel, len(rows)) for channel, rows in by_channel.items()],
                look_after_s=receipt_wait_s(chunk.lane, self._settings),
            )
            for chunk_id, (channel, rows) in zip(ids, by_channel.items(), strict=True):
                await planning.add(connection, chunk.alert_id, [(chunk_id, channel, rows)])
            if drill:
                await walls.check(connection, chunk.alert_id, ids)
            return ids
        return []

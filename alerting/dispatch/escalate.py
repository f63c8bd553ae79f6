"""Escalate: whoever one channel did not reach hears by their next, once, while the alert lives."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import GRAVE_LANES, Lane
from alerting.drills import rosters, walls
from alerting.observe.logs import logger
from alerting.settings import Settings
from alerting.store import alarms, alerts, escalations, outbox, planned
from alerting.store.escalations import Due, Step
from alerting.store.planned import NewDelivery

log = logger(__name__)

#: Channels whose providers say what arrived. Of the others acceptance is all there is to know.
REPORTING = frozenset({"sms"})

#: Chunks looked at in one round.
_LIMIT = 50


def receipt_wait_s(channel: str, lane: Lane, settings: Settings) -> float:
    """How long a lane waits for the word that a message arrived; 0 for ever."""
    if channel not in REPORTING:
        return 0.0
    match lane:
        case Lane.EXTREME:
            return settings.receipt_extreme_s
        case Lane.SEVERE:
            return settings.receipt_severe_s
        case _:
            return settings.receipt_routine_s


class Escalations:
    """Finds who was not reached and writes the chunks that reach them another way."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def write(
        self, connection: AsyncConnection, *, now: datetime
    ) -> list[tuple[Lane, list[int]]]:
        """Look at the chunks whose time has come; returns the new chunks to ring for, by lane.

        Called by one process at a time.
        """
        made: dict[Lane, list[int]] = defaultdict(list)
        for chunk in await escalations.due(connection, now=now, limit=_LIMIT):
            wait_s = receipt_wait_s(chunk.channel, chunk.lane, self._settings)
            before = now - timedelta(seconds=wait_s)
            known = await escalations.reports(connection, chunk, before=before)
            # Not one report of a whole chunk: rather the reports are lost than the messages. Only
            # for a grave danger is everybody told once more on that suspicion.
            deaf = known.silent > 0 and not known.arrived and chunk.size > 1
            steps = await escalations.steps(
                connection,
                chunk,
                now=now,
                before=before,
                silent=wait_s > 0 and (not deaf or chunk.lane in GRAVE_LANES),
                reporting=sorted(REPORTING),
            )
            if deaf:
                await alarms.open_(
                    connection,
                    "receipts-missing",
                    chunk.channel,
                    f"Not one of {known.silent} {chunk.channel} of a chunk was reported on. Check "
                    "that the provider can reach ALERTING_PUBLIC_URL; docs/receipts.md.",
                )
            if steps:
                log.info("chunk.escalated", chunk=chunk.id, count=len(steps))
            if steps and chunk.lane is Lane.DRILL:
                steps = await self._of_members(connection, chunk, steps)
            made[chunk.lane] += await self._chunks(connection, chunk, steps)
            again = known.next_accepted_at if wait_s else None
            await escalations.look_again(
                connection, chunk.id, again and again + timedelta(seconds=wait_s)
            )
        return list(made.items())

    async def _of_members(
        self, connection: AsyncConnection, chunk: Due, steps: list[Step]
    ) -> list[Step]:
        """The steps of a drill, but for who has left; an address that is new needs its pass."""
        here = await walls.members(connection, chunk.alert_id, [s.citizen_id for s in steps])
        stored = await alerts.get(connection, chunk.alert_id)
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
            )
            for chunk_id, (channel, rows) in zip(ids, by_channel.items(), strict=True):
                await planned.add(connection, chunk.alert_id, [(chunk_id, channel, rows)])
            if drill:
                await walls.check(connection, chunk.alert_id, ids)
            return ids
        return []

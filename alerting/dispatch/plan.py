"""Plan: an alert's audience becomes chunks of deliveries, and the first are sent meanwhile."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting import audience
from alerting.clock import Clock
from alerting.dispatch import reach
from alerting.dispatch.broker import WorkNotifier
from alerting.dispatch.documents import Documents
from alerting.dispatch.ending import EndAudience
from alerting.dispatch.escalate import receipt_wait_s
from alerting.dispatch.lease import Lease
from alerting.dispatch.placement.effect import end, ends_of
from alerting.domain.alert import Alert
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.citizen import Recipient, Target
from alerting.domain.info_selection import info_for
from alerting.domain.lane import Lane, lane_for
from alerting.drills import rosters, walls
from alerting.settings import Settings
from alerting.store.alerts import alert_progress
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.store.db import Database
from alerting.store.ledger import planning
from alerting.store.ledger.planning import NewDelivery
from alerting.store.work import claims, outbox
from alerting.store.work.outbox import Ranks, Work


class Planner:
    """Turns a claimed plan into chunks.

    Each batch of citizens is one fenced transaction. After a crash the next planner reads the whole
    audience again and leaves out citizens who have a delivery: nobody is planned twice, and nobody
    is missed who moved meanwhile. Memory holds two batches, whatever the audience: one is read
    while the other is written.

    Args:
        stopping: True once this process must end; the plan is then left between two batches.
        documents: The alerts this process has parsed.
        wait_for_higher_priority: Awaited between two batches.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        notifier: WorkNotifier,
        settings: Settings,
        *,
        stopping: Callable[[], bool] = lambda: False,
        documents: Documents | None = None,
        wait_for_higher_priority: Callable[[Work], Awaitable[None]] | None = None,
    ) -> None:
        self._stopping = stopping
        self._documents = documents or Documents()
        self._yield_to_others = wait_for_higher_priority
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._settings = settings

    async def run(self, work: Work) -> None:
        """Plan the whole audience. Raises Fenced when another worker has taken the plan over."""
        lease = Lease(self._db, work, lease_s=self._settings.lease_s)
        async with self._db.begin() as connection:
            stored = await self._documents.get(connection, work.alert_id)
            if stored is None:
                return
            others = await alert_progress.others_open(
                connection, stored.submitted_by, stored.lane, but=stored.id
            )
        alert = stored.alert
        async with lease.heartbeat():
            await self._begun(work)
            if alert.is_drill:
                async with self._db.begin() as connection:
                    await rosters.prepare(connection, alert.addresses)
            try:
                if not await self._chunks(work, stored, alert, others):
                    return
            except walls.Outsiders as found:
                async with self._db.begin() as connection:
                    await walls.stop(connection, found)
                return
        async with self._db.begin() as connection:
            await claims.hold(connection, work, lease_s=self._settings.lease_s)
            await claims.finish(connection, work)
            await alert_progress.mark_planned(connection, work.alert_id)
            await reach.finish(connection, work.alert_id, now=self._clock.now())

    async def _chunks(self, work: Work, stored: StoredAlert, alert: Alert, others: int) -> bool:
        """Write the deliveries of everybody who has none yet; False when the plan is left early.

        Args:
            others: How many other alerts of its submitter are being planned or sent in its lane.
        """
        by_lane = ByLane(alert, self._settings.all_channels_lanes)
        everywhere = alert.ends and await self._everywhere(work, stored, alert)
        ranks = Ranks(first=alert.ends, others=others)
        # The reading transaction stays open for the stream; batches are written by another.
        async with (
            self._db.begin(patient=True) as reading,
            aclosing(ahead(self._audience(reading, work, stored, alert, everywhere))) as batches,
        ):
            async for batch in batches:
                if self._stopping():
                    await self._leave(work)
                    return False
                if self._yield_to_others is not None:
                    await self._yield_to_others(work)
                if not await self._write(work, batch, by_lane, ranks):
                    break
        return True

    async def _begun(self, work: Work) -> None:
        """Correct the count of an earlier planner."""
        if work.fence <= 1:
            return
        async with self._db.begin(patient=True) as connection:
            citizens = await planning.count_planned(connection, work.alert_id)
        async with self._db.begin() as connection:
            await claims.hold(connection, work, lease_s=self._settings.lease_s)
            # Citizens without an address have no delivery and are counted again.
            await alert_progress.set_audience(connection, work.alert_id, citizens)

    async def _leave(self, work: Work) -> None:
        """Release the plan for another process: this one must end."""
        async with self._db.begin() as connection:
            await claims.abandon(connection, work, delay_s=0)

    async def _everywhere(self, work: Work, stored: StoredAlert, alert: Alert) -> bool:
        """Whether an end is for everybody who was notified, not only for people in its own areas.

        It is, unless an earlier version stays in force elsewhere. An end whose areas hold nobody
        who was notified, such as an epicentre, is for all of them and ends that version too.
        """
        async with self._db.begin() as connection:
            rest = [v.id for v in (await ends_of(connection, stored)).rest]
        if not rest:
            return True
        async with self._db.begin(patient=True) as connection:
            notified = EndAudience(connection, stored, alert)
            if await notified.holds_anybody(batch=self._settings.chunk_size):
                return False
        async with self._db.begin() as connection:
            await claims.hold(connection, work, lease_s=self._settings.lease_s)
            await end(connection, stored, rest)
        return True

    def _audience(
        self,
        connection: AsyncConnection,
        work: Work,
        stored: StoredAlert,
        alert: Alert,
        everywhere: bool,
    ) -> AsyncGenerator[list[Recipient]]:
        """The recipients, minus those an earlier planner already wrote."""
        batch = self._settings.chunk_size
        again = work.alert_id if work.fence > 1 else None
        if alert.ends:
            notified = EndAudience(connection, stored, alert).recipients(
                batch=batch, everywhere=everywhere, not_planned_for=again
            )
            return (
                walls.members_only(connection, stored.id, notified) if alert.is_drill else notified
            )
        return audience.find(
            connection, alert, batch=batch, not_planned_for=again, now=self._clock.now()
        )

    async def _write(
        self, work: Work, batch: list[Recipient], by_lane: ByLane, ranks: Ranks
    ) -> bool:
        """Write one batch's chunks and notify workers; False when the alert has ended.

        Raises:
            Outsiders: For a drill that would reach others than its members; nothing is written.
        """
        lanes: list[Lane] = []
        async with self._db.begin() as connection:
            state = await claims.hold(connection, work, lease_s=self._settings.lease_s)
            if state in ENDED:
                return False
            if state is AlertState.ACCEPTED:
                await alert_progress.set_state(connection, work.alert_id, AlertState.DELIVERING)
            await alert_progress.add_audience(connection, work.alert_id, len(batch))
            for lane, by_channel in by_lane.spread(batch):
                parts = [
                    (channel, rows[i : i + self._settings.chunk_size])
                    for channel, rows in by_channel.items()
                    for i in range(0, len(rows), self._settings.chunk_size)
                ]
                sizes = [(c, len(rows)) for c, rows in parts]
                ids = await outbox.add_chunks(
                    connection,
                    work.alert_id,
                    lane,
                    sizes,
                    ranks=ranks,
                    look_after_s=receipt_wait_s(lane, self._settings),
                )
                chunks = [(id_, c, rows) for id_, (c, rows) in zip(ids, parts, strict=True)]
                await planning.add(connection, work.alert_id, chunks)
                if lane is Lane.DRILL:
                    await walls.check(connection, work.alert_id, ids)
                lanes.append(lane)
        for lane in lanes:
            self._notifier.notify(lane)
        return True


async def ahead(batches: AsyncGenerator[list[Recipient]]) -> AsyncGenerator[list[Recipient]]:
    """The same batches, each read while the one before is used. Closing it waits for the last
    read."""

    async def following() -> list[Recipient] | None:
        return await anext(batches, None)

    task = asyncio.create_task(following())
    try:
        while (batch := await task) is not None:
            task = asyncio.create_task(following())
            yield batch
    finally:
        # A statement cut short would spoil the transaction it reads in.
        await asyncio.gather(task, return_exceptions=True)
        await batches.aclose()


class ByLane:
    """Assigns citizens to lanes by the info that each gets: a citizen in a Minor part of an Extreme
    alert gets it as a Minor one."""

    def __init__(self, alert: Alert, all_channels_lanes: Collection[str]) -> None:
        self._alert = alert
        self._all_channels_lanes = all_channels_lanes
        #: The lane, and whether every channel is used, by info number.
        self._ways: dict[int, tuple[Lane, bool]] = {}

    def spread(self, batch: list[Recipient]) -> list[tuple[Lane, dict[str, list[NewDelivery]]]]:
        """The deliveries of a batch by lane, the highest first, and by channel."""
        groups: dict[tuple[Lane, bool], list[Recipient]] = defaultdict(list)
        for r in batch:
            way = self._ways.get(r.info_no)
            if way is None:
                way = self._ways[r.info_no] = self._way(r.info_no)
            groups[way].append(r)
        lanes = list(Lane)
        return [
            (lane, spread(some, all_channels=every))
            for (lane, every), some in sorted(groups.items(), key=lambda g: lanes.index(g[0][0]))
        ]

    def _way(self, info_no: int) -> tuple[Lane, bool]:
        lane, info = lane_for(self._alert, info_no), info_for(self._alert, info_no)
        # The end of a danger uses every channel that the danger may have used.
        ends = self._alert.ends if info is None else self._alert.ends_in(info)
        return lane, ends or lane in self._all_channels_lanes


def spread(batch: list[Recipient], *, all_channels: bool) -> dict[str, list[NewDelivery]]:
    """Choose each citizen's channels: every usable one, or the first usable in their order.

    Where none is usable the first is planned nevertheless, so that the ledger says why the citizen
    got nothing. A citizen without an address has no delivery.
    """
    by_channel: dict[str, list[NewDelivery]] = defaultdict(list)
    for r in batch:
        for target in _chosen(r.targets, all_channels):
            by_channel[target.channel].append(
                NewDelivery(r.citizen_id, target.address_id, r.info_no, r.area_no, r.places)
            )
    return by_channel


def _chosen(targets: tuple[Target, ...], all_channels: bool) -> Sequence[Target]:
    if len(targets) == 1:
        return targets
    usable = [t for t in targets if t.usable]
    if not usable:
        return targets[:1]
    if all_channels:
        return usable
    return [t for t in usable if t.channel == usable[0].channel]

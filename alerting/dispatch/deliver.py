"""Deliver: take a chunk, ask for its verdicts, call the provider, write what came of it.

The crash window: before a provider is called, the chunk's row says which places of the chunk are
open (`window_from`, `window_to`). A worker that dies there leaves at most one window of
deliveries in doubt, and the next owner knows exactly which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from alerting.cap import from_json
from alerting.channels.base import Channel, Outcome
from alerting.clock import Clock
from alerting.dispatch.compose import Group
from alerting.dispatch.outcome import Doubt, after_send, asked_to_wait, doubt, next_try
from alerting.dispatch.pacing import Pacing
from alerting.dispatch.verdict import Sending, Verdicts, ended_as, withheld
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.decision import Verdict
from alerting.domain.delivery import DeliveryState
from alerting.domain.links import Links
from alerting.observe.logs import logger
from alerting.settings import Settings
from alerting.store import alerts, citizens, deliveries, digests, outbox
from alerting.store.alerts import StoredAlert
from alerting.store.db import Database
from alerting.store.deliveries import OpenDelivery, Settlement
from alerting.store.digests import Item
from alerting.store.outbox import Work

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a chunk stopped early: leave the provider alone for `wait_s`, then start at `next_seq`.

    Starting behind what was refused keeps the rest of a chunk from waiting for its first window.
    """

    wait_s: float = 0.0
    next_seq: int = 0


def windows(sendable: Sequence[Sending], size: int, *, start: int) -> Iterator[Sequence[Sending]]:
    """Groups of at most `size` in order of place, from place `start` on and then from the first."""
    ahead = [s for s in sendable if s.delivery.seq >= start]
    behind = [s for s in sendable if s.delivery.seq < start]
    for part in (ahead, behind):
        for i in range(0, len(part), size):
            yield part[i : i + size]


class Deliverer:
    """Carries out claimed chunks on one event loop with that loop's open channels."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        channels: Mapping[str, Channel],
        verdicts: Verdicts,
        pacing: Pacing,
        links: Links,
        settings: Settings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._channels = channels
        self._verdicts = verdicts
        self._pacing = pacing
        self._links = links
        self._settings = settings

    async def run(self, work: Work) -> None:
        """Bring the chunk as far as it can go now, then finish it or give it back for later.

        Raises Fenced when another worker has taken the chunk over; nothing is written then.
        """
        stored, pending = await self._load(work)
        channel = self._channels.get(work.channel)
        can_be_silent = channel is not None and channel.can_be_silent
        sendable = await self._gate(work, stored, pending, can_be_silent=can_be_silent)
        pause = Pause()
        if channel is None:
            log.error("chunk.no_channel", chunk=work.id, channel=work.channel)
            pause = Pause(self._settings.retry_max_s)
        elif sendable:
            pause = await self._send_all(work, channel, stored, sendable)
        await self._end(work, stored, pause)

    async def _load(self, work: Work) -> tuple[StoredAlert, list[OpenDelivery]]:
        """The chunk's open deliveries; those a dead worker left in its window are in doubt."""
        async with self._db.begin() as connection:
            await outbox.hold(
                connection, work, lease_s=self._settings.lease_s, window_from=0, window_to=0
            )
            if work.window_to > work.window_from:
                count = await deliveries.mark_in_doubt(
                    connection,
                    work.id,
                    (work.window_from, work.window_to),
                    now=self._clock.now(),
                )
                log.warning("chunk.in_doubt", chunk=work.id, count=count)
            stored = await alerts.get(connection, work.alert_id)
            if stored is None:
                raise outbox.Fenced(f"alert {work.alert_id} is gone")
            return stored, await deliveries.open_of_chunk(connection, work.id, work.size)

    async def _gate(
        self,
        work: Work,
        stored: StoredAlert,
        pending: Sequence[OpenDelivery],
        *,
        can_be_silent: bool,
    ) -> list[Sending]:
        """Get a verdict for everyone it is time for; write what is withheld; return the rest."""
        now = self._clock.now()
        asked, refused = [], []
        for d in pending:
            if d.state == DeliveryState.DEFERRED and d.due_at is not None and d.due_at > now:
                continue
            if d.state == DeliveryState.IN_DOUBT:
                match doubt(d, work.lane, now, self._settings):
                    case Doubt.WAIT:
                        continue
                    case Doubt.CLOSE:
                        refused.append(Settlement(d.id, DeliveryState.FAILED, "in-doubt"))
                        continue
                    case Doubt.RESEND:
                        pass
            asked.append(d)
        decisions = await self._verdicts.of(
            stored, asked, can_be_silent=can_be_silent, digest=work.digest
        )
        sendable, digested = [], []
        for d, decision in zip(asked, decisions, strict=True):
            silent = decision.verdict is Verdict.SILENT and can_be_silent
            if decision.verdict is Verdict.SEND or silent:
                sendable.append(Sending(d, decision))
            elif d.state != DeliveryState.IN_DOUBT:
                refused.append(withheld(d, decision))
                if decision.verdict is Verdict.DIGEST and decision.until is not None:
                    digested.append(Item(d.id, d.citizen_id, stored.event_id, decision.until))
        await self._write(work, refused, items=digested)
        return sendable

    async def _send_all(
        self,
        work: Work,
        channel: Channel,
        stored: StoredAlert,
        sendable: Sequence[Sending],
    ) -> Pause:
        """Send in windows: open one, call the provider for each in it, write the outcomes.

        Stops between two windows when the alert has ended, or when the provider as a whole wants
        time or refuses us; then says for how long and where to go on.
        """
        group = await self._group(work, stored)
        done: list[Settlement] = []
        pause = Pause()
        rate = await self._pacing.rate(work.channel)
        size = self._pacing.window(rate, min(self._settings.window, channel.concurrency))
        for window in windows(sendable, size, start=work.cursor):
            state = await self._write(
                work,
                done,
                window_from=window[0].delivery.seq,
                window_to=window[-1].delivery.seq + 1,
            )
            done = []
            if state in ENDED or self._clock.now() >= stored.expires_at:
                break
            attempted_at = self._clock.now()
            outcomes = await asyncio.gather(
                *(
                    self._pacing.send(
                        channel, group.message(s), work.lane, stored.submitted_by, rate
                    )
                    for s in window
                )
            )
            done = [
                after_send(
                    s.delivery,
                    o,
                    attempted_at,
                    self._settings,
                    reason=s.decision.reason.value,
                    silent=s.silent,
                )
                for s, o in zip(window, outcomes, strict=True)
            ]
            await self._suspend(window, outcomes)
            wait_s = asked_to_wait(outcomes)
            if wait_s:
                pause = Pause(wait_s, window[-1].delivery.seq + 1)
                break
        await self._write(work, done, window_from=0, window_to=0)
        return pause

    async def _group(self, work: Work, stored: StoredAlert) -> Group:
        carried, others = {}, {stored.id: from_json(stored.document)}
        if work.digest:
            async with self._db.begin() as connection:
                carried = await digests.carried(connection, work.id, work.size)
                for alert_id in {c.alert_id for parts in carried.values() for c in parts}:
                    found = await alerts.get(connection, alert_id)
                    if found is not None:
                        others[alert_id] = from_json(found.document)
        return Group(
            others[stored.id],
            stored,
            work,
            self._links,
            self._settings,
            digests=carried,
            alerts=others,
        )

    async def _write(
        self,
        work: Work,
        settlements: Sequence[Settlement],
        *,
        items: Sequence[Item] = (),
        **values: int,
    ) -> AlertState:
        """Fence, extend the lease, set the window and write outcomes in one transaction."""
        async with self._db.begin() as connection:
            state = await outbox.hold(connection, work, lease_s=self._settings.lease_s, **values)
            await deliveries.settle(connection, settlements, now=self._clock.now())
            await digests.add(connection, items)
        return state

    async def _suspend(self, window: Sequence[Sending], outcomes: Sequence[Outcome]) -> None:
        """Stop using addresses that the provider says are dead or have left."""
        dead: dict[str, list[int]] = {}
        for s, o in zip(window, outcomes, strict=True):
            if o.error is not None and o.error.suspend:
                dead.setdefault(o.error.code, []).append(s.delivery.address_id)
        if dead:
            async with self._db.begin() as connection:
                for reason, address_ids in dead.items():
                    await citizens.suspend(connection, address_ids, reason)

    async def _end(self, work: Work, stored: StoredAlert, pause: Pause) -> None:
        """Finish the chunk, or give it back with a time when something may still be done."""
        now = self._clock.now()
        async with self._db.begin() as connection:
            state = await outbox.hold(connection, work, lease_s=self._settings.lease_s)
            if now >= stored.expires_at and state not in ENDED:
                state = AlertState.EXPIRED
            if state in ENDED:
                end, reason = ended_as(state)
                await deliveries.close_chunk(connection, work.id, work.size, end, reason, now=now)
            left = await deliveries.open_of_chunk(connection, work.id, work.size)
            if left:
                due = min(next_try(d, work.lane, now, self._settings) for d in left)
                await outbox.release(
                    connection,
                    work,
                    not_before=max(due, now + timedelta(seconds=pause.wait_s)),
                    cursor=pause.next_seq,
                )
            else:
                await outbox.finish(connection, work)
                await alerts.complete_if_done(connection, work.alert_id)

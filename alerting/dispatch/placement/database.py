"""Database: the earlier alerts as PostgreSQL has them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.dispatch.placement.earlier import Named
from alerting.domain.alert import Alert, Reference, Status
from alerting.domain.principal import Principal
from alerting.domain.version import Version
from alerting.store.alerts import issued, signatures, stored_alerts, stored_events, threads
from alerting.store.alerts.issued import Issued
from alerting.store.alerts.stored_alerts import StoredAlert
from alerting.throttle.events.placing import Candidate
from alerting.throttle.events.referring import cited_by, names_of
from alerting.throttle.events.same import Pool, Signature, signature
from alerting.throttle.events.stored_signature import VERSION, from_bytes, to_bytes

#: An alert never changes, so neither does what is compared of it.
_seen: OrderedDict[UUID, Signature] = OrderedDict()
_KEPT = 1024


@dataclass(frozen=True, slots=True)
class DatabaseAlerts:
    """`EarlierAlerts` of a transaction."""

    connection: AsyncConnection

    def new_id(self, identifier: str) -> UUID:
        return uuid4()

    async def named(self, new: Alert) -> Named[UUID]:
        names, cited = names_of(new), cited_by(new)
        across = await threads.across(self.connection, new, cited)
        return Named(await threads.known(self.connection, new, names), across)

    async def of_sender(
        self, new: Alert, *, now: datetime
    ) -> Sequence[tuple[Version[UUID], Signature]]:
        live = await threads.of_sender(self.connection, new, now=now)
        known = await self._signatures(live)
        return [(_version(stored), known[stored.id]) for stored in live]

    async def alike(
        self, new: Alert, blocks: Sequence[str], *, since: datetime, limit: int
    ) -> Mapping[UUID, Candidate[UUID]]:
        found = await stored_events.candidates(
            self.connection, new, blocks, since=since, limit=limit
        )
        known = await self._signatures(found)
        return {
            stored.id: Candidate(
                stored.thread_id,
                stored.event_id,
                stored.order_at,
                known[stored.id],
                stored.ends,
                f"{stored.identifier} of {stored.sender}",
            )
            for stored in found
        }

    async def words(
        self, status: Status, alike: Mapping[UUID, Candidate[UUID]], *, recent: int
    ) -> Pool:
        pool = Pool()
        for one in alike.values():
            pool.add(one.signature, one.event, sender=one.signature.sender)
        if not recent:
            return pool
        newest = await stored_events.recent(self.connection, status=status.value, limit=recent)
        unseen = [alert_id for alert_id, _ in newest if alert_id not in _seen]
        await self._signatures(await stored_alerts.get_many(self.connection, unseen))
        for alert_id, event_id in newest:
            if alert_id not in alike and alert_id in _seen:
                seen = _seen[alert_id]
                pool.add(seen, event_id, sender=seen.sender)
        return pool

    async def newer(self, thread_id: UUID, than: datetime) -> Sequence[Alert]:
        return [v.alert for v in await threads.newer(self.connection, thread_id, than)]

    async def live(self, thread_id: UUID, *, before: datetime, but: UUID) -> Sequence[StoredAlert]:
        return await threads.live(self.connection, thread_id, before=before, but=but)

    async def issued(
        self, principal: Principal, sender: str, *, since: datetime, until: datetime
    ) -> Issued:
        return await issued.issued(self.connection, principal, sender, since=since, until=until)

    async def _signatures(self, several: Sequence[StoredAlert]) -> dict[UUID, Signature]:
        """What is compared of stored alerts: as kept with them, or else worked out now and kept."""
        found = {s.id: _seen[s.id] for s in several if s.id in _seen}
        missing = [s for s in several if s.id not in found]
        bodies = await signatures.kept(self.connection, [s.id for s in missing], version=VERSION)
        made = {}
        for stored in missing:
            body = bodies.get(stored.id)
            one = None if body is None else from_bytes(body)
            if one is None:
                one = await asyncio.to_thread(lambda s: signature(s.alert), stored)
                made[stored.id] = to_bytes(one)
            found[stored.id] = _seen[stored.id] = one
        await signatures.keep(self.connection, made, version=VERSION)
        while len(_seen) > _KEPT:
            _seen.popitem(last=False)
        return found


def _version(stored: StoredAlert) -> Version[UUID]:
    return Version(
        stored.id,
        stored.thread_id,
        stored.event_id,
        Reference(stored.sender, stored.identifier, stored.sent_at),
        stored.order_at,
        stored.expires_at,
    )

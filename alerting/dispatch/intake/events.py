"""Events: an alert's thread and event, found among those stored (see `throttle.placing`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.domain.alert import Alert
from alerting.domain.lane import Lane, lane_of
from alerting.store import alerts, events, threads
from alerting.store.alerts import StoredAlert
from alerting.throttle.events import placing
from alerting.throttle.events.placing import Candidate, Linked, Placement, says_over
from alerting.throttle.events.same import Pool, Signature, blocks, seek, signature
from alerting.throttle.policy.model import SameEvent

#: A match is sought among so many of the newest alerts that may be like it.
_CANDIDATES = 100

#: How common words are is learnt from so many of the newest alerts. An Extreme one is not kept
#: waiting for that: with fewer words known to be rare it is rather sent than spared.
_RECENT = 200


@dataclass(frozen=True, slots=True)
class _Seen:
    signature: Signature
    ends: bool


#: An alert never changes, so neither does what is compared of it.
_seen: OrderedDict[UUID, _Seen] = OrderedDict()
_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """thread_id, event_id: new ones where the alert is on its own. linked: it refers to a known
    alert, or one refers to it."""

    thread_id: UUID
    event_id: UUID
    placement: Placement[UUID]
    linked: bool
    blocks: tuple[str, ...]


async def place(connection: AsyncConnection, alert: Alert, same: SameEvent) -> Place:
    """Find an alert's thread and event among those stored."""
    mine = signature(alert)
    linked = [
        Linked(one.thread_id, one.event_id)
        for one in await threads.linked(connection, alert.references, triple=alert.triple)
    ]
    candidates: list[Candidate[UUID]] = []
    pool = Pool()
    if not linked:
        candidates = await _near(connection, alert, mine, same, pool)
    found = placing.place(mine, linked, candidates, pool, same, ends=says_over(alert))
    thread_id = found.thread or uuid4()
    filed = tuple(sorted(blocks(mine)))
    return Place(thread_id, found.event or thread_id, found, bool(linked), filed)


async def record(connection: AsyncConnection, alert_id: UUID, found: Place) -> None:
    """Write what placing an alert means for others: events made one, a question to answer."""
    for event_id in found.placement.merged:
        await events.merge(connection, event_id, into=found.event_id)
    if found.placement.question is not None:
        event_id, likeness = found.placement.question
        await events.ask(
            connection, alert_id, event_id, score=likeness.score, sentence=likeness.sentence
        )


async def _near(
    connection: AsyncConnection,
    alert: Alert,
    mine: Signature,
    same: SameEvent,
    pool: Pool,
) -> list[Candidate[UUID]]:
    """Alerts that may be like this one; what they and others say is added to `pool`."""
    since = alert.sent - timedelta(seconds=same.window_s)
    near = await events.candidates(
        connection, sorted(seek(mine)), status=alert.status.value, since=since, limit=_CANDIDATES
    )
    candidates = []
    for stored in near:
        seen = _see(stored)
        pool.add(seen.signature, stored.event_id, sender=stored.sender)
        candidates.append(
            Candidate(stored.thread_id, stored.event_id, stored.sent_at, seen.signature, seen.ends)
        )
    if near and lane_of(alert) is not Lane.EXTREME:
        await _learn(connection, pool, near, alert)
    return candidates


async def _learn(
    connection: AsyncConnection, pool: Pool, near: Sequence[StoredAlert], alert: Alert
) -> None:
    known = {s.id for s in near}
    recent = await events.recent(connection, status=alert.status.value, limit=_RECENT)
    new = [alert_id for alert_id, _ in recent if alert_id not in _seen]
    for stored in await alerts.get_many(connection, new):
        _see(stored)
    for alert_id, event_id in recent:
        if alert_id not in known and alert_id in _seen:
            seen = _seen[alert_id].signature
            pool.add(seen, event_id, sender=seen.sender)


def _see(stored: StoredAlert) -> _Seen:
    found = _seen.get(stored.id)
    if found is None:
        alert = from_json(stored.document)
        found = _seen[stored.id] = _Seen(signature(alert), says_over(alert))
        if len(_seen) > _KEPT:
            _seen.popitem(last=False)
    return found

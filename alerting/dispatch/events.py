"""Events: which thread and which event an alert belongs to, asked of everything stored.

A reference decides first. Without one, alerts that speak of the same danger at the same place and
time are one event: a sure match is made, an unsure one is put to a coordinator and keeps nothing
back meanwhile. An event only decides what each citizen already knows; it never stops an alert.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import from_json
from alerting.domain.alert import Alert
from alerting.store import alerts, events
from alerting.store.alerts import StoredAlert
from alerting.throttle.policy_model import SameEvent
from alerting.throttle.same_event import (
    Likeness,
    Match,
    Pool,
    Signature,
    best_match,
    blocks,
    seek,
    signature,
)

#: A match is sought among so many of the newest alerts that may be like it.
_CANDIDATES = 100


@dataclass(frozen=True, slots=True)
class Question:
    """An unsure match, for a coordinator to answer."""

    event_id: UUID
    likeness: Likeness


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alert belongs.

    threads: the threads it refers to; the alert joins the first. merged: events that its
    references show to be one with `event_id`. reason: why that event, in words.
    """

    thread_id: UUID
    event_id: UUID
    threads: tuple[UUID, ...]
    merged: tuple[UUID, ...]
    reason: str
    question: Question | None
    signature: Signature
    blocks: tuple[str, ...]


async def place(connection: AsyncConnection, alert: Alert, same: SameEvent) -> Place:
    """Find an alert's thread and event among those stored."""
    mine = signature(alert)
    keys = tuple(sorted(blocks(mine)))
    linked = await alerts.linked(connection, alert.references, triple=alert.triple)
    if linked:
        event_id = linked[0].event_id
        merged = {one.event_id for one in linked} - {event_id}
        return Place(
            linked[0].thread_id,
            event_id,
            tuple(dict.fromkeys(one.thread_id for one in linked)),
            tuple(merged),
            "It refers to an alert of this event, or one of them refers to it.",
            None,
            mine,
            keys,
        )
    thread_id = uuid4()
    found = await _match(connection, alert, mine, same)
    if found is None:
        return Place(thread_id, thread_id, (), (), "", None, mine, keys)
    stored, likeness = found
    if likeness.verdict is Match.SURE:
        return Place(thread_id, stored.event_id, (), (), likeness.sentence, None, mine, keys)
    question = Question(stored.event_id, likeness)
    return Place(thread_id, thread_id, (), (), "", question, mine, keys)


async def record(connection: AsyncConnection, alert_id: UUID, found: Place) -> None:
    """Write what placing an alert means for others: events made one, a question to answer."""
    for event_id in found.merged:
        await events.merge(connection, event_id, into=found.event_id)
    if found.question is not None:
        await events.ask(
            connection,
            alert_id,
            found.question.event_id,
            score=found.question.likeness.score,
            sentence=found.question.likeness.sentence,
        )


async def _match(
    connection: AsyncConnection,
    alert: Alert,
    mine: Signature,
    same: SameEvent,
) -> tuple[StoredAlert, Likeness] | None:
    since: datetime = alert.sent - timedelta(seconds=same.window_s)
    stored = await events.candidates(
        connection, sorted(seek(mine)), status=alert.status.value, since=since, limit=_CANDIDATES
    )
    if not stored:
        return None
    others = [signature(from_json(s.document)) for s in stored]
    pool = Pool()
    for other in (*others, mine):
        pool.add(other)
    return best_match(
        mine,
        list(zip(stored, others, strict=True)),
        pool,
        sure=same.sure,
        unsure=same.unsure,
    )

"""Events: an alert's thread and event, found among those stored.

What it refers to decides its thread (`throttle.events.referring`); where it refers to nothing, what
it says decides its event (`throttle.events.placing`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.alert import Alert, MsgType, Reference, Status
from alerting.domain.lane import Lane, lane_of
from alerting.domain.principal import Principal
from alerting.domain.version import Version, name_of
from alerting.errors import BadInput
from alerting.store import alerts, events, signatures, threads
from alerting.store.alerts import StoredAlert
from alerting.throttle.events import placing, referring
from alerting.throttle.events.placing import Candidate, Linked, Placement
from alerting.throttle.events.referring import listed
from alerting.throttle.events.same import Pool, Signature, blocks, seek, signature
from alerting.throttle.events.stored_signature import VERSION, from_bytes, to_bytes
from alerting.throttle.policy.model import SameEvent

#: A match is sought among so many of the newest alerts that may be like it.
_CANDIDATES = 100

#: How common words are is learnt from so many of the newest alerts. An Extreme one waits for that
#: only beside another sender's, where a name not known to be common could spare a citizen, and is
#: content with fewer.
_RECENT = 200
_RECENT_EXTREME = 50


#: An alert never changes, so neither does what is compared of it.
_seen: OrderedDict[UUID, Signature] = OrderedDict()
_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alert belongs, and what a coordinator should know of that.

    alert: as it is taken: one that bears a known name is an update. thread_id, event_id: new ones
    where the alert is on its own. signature: what is compared of it. joined: threads that become
    part of its own. order_at: by which it is ordered in its thread. held: why a person must decide
    before it takes effect. ends_nothing: it is an end, and nothing that it could end is known here.
    """

    alert: Alert
    thread_id: UUID
    event_id: UUID
    placement: Placement[UUID]
    signature: Signature
    joined: tuple[UUID, ...]
    order_at: datetime
    blocks: tuple[str, ...]
    notes: tuple[str, ...] = ()
    held: str = ""
    ends_nothing: bool = False


async def place(
    connection: AsyncConnection,
    alert: Alert,
    same: SameEvent,
    principal: Principal,
    *,
    now: datetime,
    mine: Signature | None = None,
    approved: bool = False,
) -> Place:
    """Find an alert's thread and event among those stored.

    mine: its signature, where it is known already. approved: a second person has let it end what
    it refers to. Raises BadInput for an exercise or test that refers to a real alert.
    """
    notes = await _across(connection, alert)
    known = await threads.known(connection, alert, referring.names_of(alert))
    found = referring.referred(
        alert,
        [v for v in known if v.triple != alert.triple],
        may_end=lambda sender: approved or principal.may_end_others(sender),
    )
    notes += found.notes
    alert, note = referring.reissue(alert, found)
    notes += [note] if note else []
    if mine is None:
        mine = await asyncio.to_thread(signature, alert)
    held, ends_nothing = "", False
    acts = alert.msg_type in {MsgType.UPDATE, MsgType.CANCEL} or alert.ends
    if found.others and acts:
        theirs = listed(found.others)
        held = f"It would end or replace {theirs}, and only their sender may do that."
    elif found.others:
        notes.append(
            f"It refers to {listed(found.others)} of another sender; it stands on its own."
        )
    elif acts and not found.versions:
        live = await threads.of_sender(connection, alert, now=now)
        known_as = await _see(connection, live)
        standing = [(_version(s), known_as[s.id]) for s in live]
        guessed = referring.guess(alert, found, mine, standing, approved=approved)
        found, held, ends_nothing = guessed.found, guessed.held, guessed.ends_nothing
        notes += [guessed.note] if guessed.note else []
    candidates: list[Candidate[UUID]] = []
    pool = Pool()
    if not found.versions:
        candidates = await _near(connection, alert, mine, same, pool)
    linked = [Linked(v.thread, v.event) for v in found.versions]
    placement = placing.place(mine, linked, candidates, pool, same)
    thread_id = placement.thread or uuid4()
    return Place(
        alert,
        thread_id,
        placement.event or thread_id,
        placement,
        mine,
        found.threads,
        referring.order_at(alert, found, now=now),
        tuple(sorted(blocks(mine))),
        tuple(notes),
        held,
        ends_nothing,
    )


async def record(connection: AsyncConnection, alert_id: UUID, found: Place) -> None:
    """Write what placing an alert found out: what is compared of it, events made one, a question
    to answer."""
    await signatures.keep(
        connection,
        {alert_id: to_bytes(found.signature)},
        version=VERSION,
    )
    for event_id in found.placement.merged:
        await events.merge(connection, event_id, into=found.event_id)
    if found.placement.question is not None:
        event_id, likeness = found.placement.question
        await events.ask(
            connection, alert_id, event_id, score=likeness.score, sentence=likeness.sentence
        )


async def _across(connection: AsyncConnection, alert: Alert) -> list[str]:
    """What is said of references across the wall between real alerts, exercises and tests."""
    names = [name_of(r) for r in alert.references]
    names += [(alert.sender.lower(), loose.lower()) for loose in alert.loose_references]
    notes = []
    for sender, identifier, status, scope in await threads.across(connection, alert, names):
        if status == Status.ACTUAL and alert.status is not Status.ACTUAL:
            raise BadInput(
                f"This {alert.status} refers to {identifier} of {sender}, which is a real alert.",
                remedy="Take the reference out: a rehearsal never touches what is real.",
            )
        notes.append(
            f"It refers to {identifier} of {sender}, which has status {status} and scope {scope}: "
            "it stands on its own and changes nothing about that one."
        )
    return notes


def _version(stored: StoredAlert) -> Version[UUID]:
    return Version(
        stored.id,
        stored.thread_id,
        stored.event_id,
        Reference(stored.sender, stored.identifier, stored.sent_at),
        stored.order_at,
        stored.expires_at,
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
        connection, alert, sorted(seek(mine)), since=since, limit=_CANDIDATES
    )
    candidates = []
    known = await _see(connection, near)
    for stored in near:
        pool.add(known[stored.id], stored.event_id, sender=stored.sender)
        candidates.append(
            Candidate(
                stored.thread_id,
                stored.event_id,
                stored.order_at,
                known[stored.id],
                stored.ends,
                f"{stored.identifier} of {stored.sender}",
            )
        )
    extreme = lane_of(alert) is Lane.EXTREME
    if near and (not extreme or any(stored.sender != alert.sender for stored in near)):
        limit = _RECENT_EXTREME if extreme else _RECENT
        await _learn(connection, pool, near, alert.status, limit)
    return candidates


async def _learn(
    connection: AsyncConnection,
    pool: Pool,
    near: Sequence[StoredAlert],
    status: Status,
    limit: int,
) -> None:
    known = {s.id for s in near}
    recent = await events.recent(connection, status=status.value, limit=limit)
    new = [alert_id for alert_id, _ in recent if alert_id not in _seen]
    await _see(connection, await alerts.get_many(connection, new))
    for alert_id, event_id in recent:
        if alert_id not in known and alert_id in _seen:
            seen = _seen[alert_id]
            pool.add(seen, event_id, sender=seen.sender)


async def _see(
    connection: AsyncConnection, several: Sequence[StoredAlert]
) -> dict[UUID, Signature]:
    """What is compared of stored alerts: as kept with them, or else worked out now and kept."""
    found = {s.id: _seen[s.id] for s in several if s.id in _seen}
    missing = [s for s in several if s.id not in found]
    bodies = await signatures.kept(connection, [s.id for s in missing], version=VERSION)
    made = {}
    for stored in missing:
        body = bodies.get(stored.id)
        one = None if body is None else from_bytes(body)
        if one is None:
            one = await asyncio.to_thread(lambda s: signature(s.alert), stored)
            made[stored.id] = to_bytes(one)
        found[stored.id] = _seen[stored.id] = one
    await signatures.keep(connection, made, version=VERSION)
    while len(_seen) > _KEPT:
        _seen.popitem(last=False)
    return found

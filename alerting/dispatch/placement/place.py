"""Placement: an alert's thread and event, found among those before it, and what it ends of them.

What it refers to decides its thread (`throttle.events.referring`); where it refers to nothing, what
it says decides its event (`throttle.events.placing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic

from alerting.dispatch.placement.earlier import EarlierAlerts, Predecessor
from alerting.domain.alert import Alert, Status
from alerting.domain.lane import Lane, lane_of
from alerting.domain.principal import Principal
from alerting.errors import BadInput
from alerting.throttle.cover import for_same_people, speaks_for
from alerting.throttle.events import placing, referring
from alerting.throttle.events.placing import Candidate, Id, Linked, Placement
from alerting.throttle.events.referring import listed
from alerting.throttle.events.same import Pool, Signature, blocks, seek, signature
from alerting.throttle.policy.model import SameEvent

#: The number of the newest similar alerts among which a match is sought.
_CANDIDATES = 100

#: The number of the newest alerts from which the frequency of words is learnt. An Extreme alert
#: waits for that only where another sender's may match, because a name not known to be common could
#: leave a citizen without it; fewer alerts are enough for it.
RECENT = 200
RECENT_EXTREME = 50


@dataclass(frozen=True, slots=True)
class Place(Generic[Id]):
    """An alert's thread and event, and what a coordinator should know of them.

    Attributes:
        alert, lane: As it is understood: an Alert with a known name is an Update.
        thread_id, event_id: New ones where the alert is on its own.
        signature: What is compared with other alerts.
        joined: Threads that become part of its own; empty where its thread is new.
        order_at: Orders it in its thread.
        held: Why a person must decide before it takes effect; empty where nobody need.
        ends_nothing: It is an end, and nothing that it could end is known here.
    """

    alert: Alert
    lane: Lane
    thread_id: Id
    event_id: Id
    placement: Placement[Id]
    signature: Signature
    joined: tuple[Id, ...]
    order_at: datetime
    blocks: tuple[str, ...]
    notes: tuple[str, ...] = ()
    held: str = ""
    ends_nothing: bool = False


@dataclass(frozen=True, slots=True)
class Ends(Generic[Id]):
    """The effect of an alert on the earlier versions of its thread.

    Attributes:
        ended: Those it ends or replaces, because it covers everybody they concern.
        rest: Those that an end leaves in force for people outside its own areas.
    """

    ended: tuple[Predecessor[Id], ...] = ()
    rest: tuple[Predecessor[Id], ...] = ()


async def place(
    earlier: EarlierAlerts[Id],
    alert: Alert,
    same: SameEvent,
    principal: Principal,
    *,
    now: datetime,
    mine: Signature | None = None,
    approved: bool = False,
) -> Place[Id]:
    """Find an alert's thread and event among the alerts before it.

    Args:
        mine: Its signature, where it is known already.
        approved: A second person approved that it ends what it refers to.

    Raises:
        BadInput: For an exercise or test that refers to a real alert.
    """
    named = await earlier.named(alert)
    notes = _across(alert.status, named.across)
    found = referring.referred(
        alert,
        [v for v in named.versions if v.triple != alert.triple],
        may_end=lambda sender: approved or principal.may_end_others(sender),
    )
    notes += found.notes
    alert, note = referring.reissue(alert, found)
    notes += [note] if note else []
    lane = lane_of(alert)
    if mine is None:
        mine = await asyncio.to_thread(signature, alert)
    held, ends_nothing = "", False
    if found.others and alert.may_end_earlier:
        theirs = listed(found.others)
        held = f"It would end or replace {theirs}, and only their sender may do that."
    elif found.others:
        notes.append(
            f"It refers to {listed(found.others)} of another sender; it stands on its own."
        )
    elif alert.may_end_earlier and not found.versions:
        live = await earlier.of_sender(alert, now=now)
        guessed = referring.guess(alert, found, mine, live, approved=approved)
        found, held, ends_nothing = guessed.found, guessed.held, guessed.ends_nothing
        notes += [guessed.note] if guessed.note else []
    candidates: Sequence[Candidate[Id]] = ()
    pool = Pool()
    if not found.versions:
        since = alert.sent - timedelta(seconds=same.window_s)
        alike = await earlier.alike(alert, sorted(seek(mine)), since=since, limit=_CANDIDATES)
        candidates = list(alike.values())
        recent = _recent(lane, alert.sender, candidates)
        pool = await earlier.words(alert.status, alike, recent=recent)
    linked = [Linked(v.thread, v.event) for v in found.versions]
    placement = placing.place(mine, linked, candidates, pool, same)
    thread_id = placement.thread or earlier.new_id(alert.identifier)
    return Place(
        alert,
        lane,
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


async def too_late(
    earlier: EarlierAlerts[Id], alert: Alert, thread_id: Id, order_at: datetime
) -> bool:
    """True when newer versions cover everybody this one concerns."""
    newer = await earlier.newer(thread_id, order_at)
    return any(speaks_for(one, alert) for one in newer)


async def ends(
    earlier: EarlierAlerts[Id],
    alert: Alert,
    thread_id: Id,
    order_at: datetime,
    *,
    but: Id,
) -> Ends[Id]:
    """Which earlier versions an alert ends, and which it leaves in force.

    A version ends an earlier one only where it covers everybody that one concerned. Otherwise the
    earlier version stays in force for the people left out, and people whom both concern get the
    newer one. Only an end ends another end that is still being sent: an update that leaves people
    out must not keep from them that their danger is over.

    Args:
        but: The alert's own id.
    """
    if not alert.may_end_earlier:
        return Ends()
    live = await earlier.live(thread_id, before=order_at, but=but)
    older = [v for v in live if not v.ends or (alert.ends and v.finished_at is None)]
    ended = tuple(v for v in older if speaks_for(alert, v.alert))
    gone = {v.id for v in ended}
    kept = [v for v in older if alert.ends and v.id not in gone and not v.ends]
    return Ends(ended, tuple(v for v in kept if for_same_people(alert, v.alert)))


def _across(mine: Status, found: Sequence[tuple[str, str, str, str]]) -> list[str]:
    """The notes on references between real alerts, exercises and tests. Raises BadInput for one
    from a drill to a real alert."""
    notes = []
    for sender, identifier, status, scope in found:
        if status == Status.ACTUAL and mine is not Status.ACTUAL:
            raise BadInput(
                f"This {mine} refers to {identifier} of {sender}, which is a real alert.",
                remedy="Take the reference out: a rehearsal never touches what is real.",
            )
        notes.append(
            f"It refers to {identifier} of {sender}, which has status {status} and scope {scope}: "
            "it stands on its own and changes nothing about that one."
        )
    return notes


def _recent(lane: Lane, sender: str, candidates: Sequence[Candidate[Id]]) -> int:
    """The number of the newest alerts from which the frequency of words is learnt."""
    if lane is not Lane.EXTREME:
        return RECENT if candidates else 0
    beside = any(c.signature.sender != sender for c in candidates)
    return RECENT_EXTREME if beside else 0

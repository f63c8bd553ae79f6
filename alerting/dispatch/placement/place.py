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
from alerting.domain.alert import Alert, MsgType, Status
from alerting.domain.lane import Lane, lane_of
from alerting.domain.principal import Principal
from alerting.domain.version import name_of
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
    """Where an alert belongs, and what a coordinator should know of that.

    alert: as it is taken: one that bears a known name is an update. thread_id, event_id: new ones
    where the alert is on its own. signature: what is compared of it. joined: threads that become
    part of its own. order_at: by which it is ordered in its thread. held: why a person must decide
    before it takes effect. ends_nothing: it is an end, and nothing that it could end is known here.
    """

    alert: Alert
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
    """What an alert makes of the earlier versions of its thread.

    ended: those it ends or replaces, for it speaks for everyone they concern. rest: those that an
    end leaves in force for people outside its own areas.
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

    mine: its signature, where it is known already. approved: a second person has let it end what
    it refers to. Raises BadInput for an exercise or test that refers to a real alert.
    """
    named = await earlier.named(alert, referring.names_of(alert), _cited(alert))
    notes = _across(alert, named.across)
    found = referring.referred(
        alert,
        [v for v in named.versions if v.triple != alert.triple],
        may_end=lambda sender: approved or principal.may_end_others(sender),
    )
    notes += found.notes
    alert, note = referring.reissue(alert, found)
    notes += [note] if note else []
    if mine is None:
        mine = await asyncio.to_thread(signature, alert)
    held, ends_nothing = "", False
    acts = _acts(alert)
    if found.others and acts:
        theirs = listed(found.others)
        held = f"It would end or replace {theirs}, and only their sender may do that."
    elif found.others:
        notes.append(
            f"It refers to {listed(found.others)} of another sender; it stands on its own."
        )
    elif acts and not found.versions:
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
        pool = await earlier.words(alert, alike, recent=_recent(alert, candidates))
    linked = [Linked(v.thread, v.event) for v in found.versions]
    placement = placing.place(mine, linked, candidates, pool, same)
    thread_id = placement.thread or earlier.new_id(alert)
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


async def too_late(
    earlier: EarlierAlerts[Id], alert: Alert, thread_id: Id, order_at: datetime
) -> bool:
    """True when newer versions speak for everyone this one concerns."""
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
    """What an alert ends of the versions before it, and what it leaves in force.

    A version ends an earlier one only where it speaks for everyone that one concerned. Where it
    leaves some of them out the earlier version stays in force for those, and whoever both concern
    hears the newer one. Only an end puts an end to an end that is still being told: an update that
    leaves people out must not keep from them that their danger is over.

    but: the alert's own id.
    """
    if not _acts(alert):
        return Ends()
    live = await earlier.live(thread_id, before=order_at, but=but)
    older = [v for v in live if not v.ends or (alert.ends and v.finished_at is None)]
    ended = tuple(v for v in older if speaks_for(alert, v.alert))
    gone = {v.id for v in ended}
    kept = [v for v in older if alert.ends and v.id not in gone and not v.ends]
    return Ends(ended, tuple(v for v in kept if for_same_people(alert, v.alert)))


def _acts(alert: Alert) -> bool:
    """True where an alert may end or replace others."""
    return alert.msg_type in {MsgType.UPDATE, MsgType.CANCEL} or alert.ends


def _cited(alert: Alert) -> list[tuple[str, str]]:
    names = [name_of(r) for r in alert.references]
    return names + [(alert.sender.lower(), loose.lower()) for loose in alert.loose_references]


def _across(alert: Alert, found: Sequence[tuple[str, str, str, str]]) -> list[str]:
    """What is said of references across the wall between real alerts, exercises and tests."""
    notes = []
    for sender, identifier, status, scope in found:
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


def _recent(alert: Alert, candidates: Sequence[Candidate[Id]]) -> int:
    """From how many of the newest alerts it is learnt how common words are."""
    if lane_of(alert) is not Lane.EXTREME:
        return RECENT if candidates else 0
    beside = any(c.signature.sender != alert.sender for c in candidates)
    return RECENT_EXTREME if beside else 0

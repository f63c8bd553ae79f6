"""Placing: which thread and which event an alert belongs to.

A reference decides first. Without one, alerts about the same danger at the same place and time are
one event: a sure match is made, an unsure one is a question to a coordinator and withholds nothing
meanwhile. An event only decides what each citizen already knows; it never stops an alert.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from alerting.throttle.events.same import Likeness, Match, Signature, best_match
from alerting.throttle.events.text import Pool
from alerting.throttle.policy.model import SameEvent

Id = TypeVar("Id", bound=Hashable)

REFERRED = "It refers to an alert of this event, or one of them refers to it."


@dataclass(frozen=True, slots=True)
class Linked(Generic[Id]):
    """A thread that an alert's references link it to, and that thread's event."""

    thread: Id
    event: Id


@dataclass(frozen=True, slots=True)
class Candidate(Generic[Id]):
    """An earlier alert that may be similar to a new one.

    Attributes:
        ends: It says that its danger is over.
        name: The alert in words.
    """

    thread: Id
    event: Id
    sent_at: datetime
    signature: Signature
    ends: bool
    name: str = ""


@dataclass(frozen=True, slots=True)
class Placement(Generic[Id]):
    """Where an alert belongs; None for a thread or an event of its own.

    Attributes:
        merged: Events that its references show to be one with `event`.
        reason: Why that event.
        question: An event it may belong to, for a coordinator to decide.
        like: The name of the alert that it is, or may be, similar to.
    """

    thread: Id | None
    event: Id | None
    merged: tuple[Id, ...] = ()
    reason: str = ""
    question: tuple[Id, Likeness] | None = None
    like: str = ""


def place(
    own: Signature,
    linked: Sequence[Linked[Id]],
    candidates: Sequence[Candidate[Id]],
    pool: Pool,
    same: SameEvent,
) -> Placement[Id]:
    """Find an alert's thread and event.

    Args:
        linked: What its references link it to, the oldest first.
        candidates: Earlier alerts that share a block with it, without cancelled ones; not needed
            when `linked` decides.
        pool: The words of the alerts before it.
    """
    if linked:
        first = linked[0]
        others = dict.fromkeys(one.event for one in linked if one.event != first.event)
        return Placement(first.thread, first.event, tuple(others), REFERRED)
    open_threads = [(c, c.signature) for c in _of_open_threads(candidates)]
    pool.add(own, sender=own.sender)
    found = best_match(own, open_threads, pool, sure=same.sure, unsure=same.unsure)
    pool.drop(own, sender=own.sender)
    if found is None:
        return Placement(None, None)
    candidate, likeness = found
    if likeness.match is not Match.SURE:
        return Placement(None, None, question=(candidate.event, likeness), like=candidate.name)
    return Placement(None, candidate.event, reason=likeness.sentence, like=candidate.name)


def _of_open_threads(candidates: Sequence[Candidate[Id]]) -> list[Candidate[Id]]:
    """The candidates of threads that have not ended: what comes after an all-clear is a new
    event."""
    newest: dict[Id, Candidate[Id]] = {}
    for c in candidates:
        if c.thread not in newest or newest[c.thread].sent_at < c.sent_at:
            newest[c.thread] = c
    return [c for c in candidates if not newest[c.thread].ends]

"""Belief: the dangers of an event that a citizen was notified of and takes to be in force.

A danger counts until the citizen is notified of its end or its alert expires.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerting.throttle.phase import Phase


@dataclass(frozen=True, slots=True)
class Past:
    """One earlier alert of the event that concerned the citizen.

    Attributes:
        places: Which of their places it covered, as bits.
        notified: They were notified of it, or may have been; otherwise it was withheld, and still
            says that a danger covers them.
        silent: They were notified without an interruption.
        over: It was cancelled, or replaced by an end.
        at: When it was decided.
        waits: It was deferred and may still be sent.
        sure: They were certainly notified.
        open: A provider may be called for it at this moment.
        replaced: A later version covers everybody whom it concerned.
        over_at: Since when it is over; None when it is not, or when that is not known.
        partly: It is an end, announced while another alert of the event was still in force.
    """

    phase: Phase
    places: int
    notified: bool
    silent: bool
    over: bool
    at: datetime
    waits: bool = False
    sure: bool = True
    open: bool = False
    replaced: bool = False
    over_at: datetime | None = None
    partly: bool = False


def belief_at(past: Sequence[Past], now: datetime, *, over: bool = False) -> dict[Hashable, Past]:
    """For each thread the latest phase the citizen was notified of, when it is still in force.

    Args:
        over: Include those that have ended meanwhile.
    """
    latest = {p.phase.thread: p for p in unended(past)}
    return {
        thread: p
        for thread, p in latest.items()
        if (over or not p.over) and p.phase.expires_at > now
    }


def unended(past: Sequence[Past]) -> list[Past]:
    """What the citizen was notified of without having been notified of its end.

    An end that came while other alerts of the event were in force ended its own thread only.
    """
    notified: list[Past] = []
    for p in past:
        if not p.notified:
            continue
        if not p.phase.ends:
            notified.append(p)
        elif p.partly or others_in_force(
            past, but=p.phase.thread, at=p.at, sent_by=p.phase.sent_at
        ):
            notified = [t for t in notified if t.phase.thread != p.phase.thread]
        else:
            notified = []
    return notified


def others_in_force(
    past: Sequence[Past], *, but: Hashable, at: datetime, sent_by: datetime | None = None
) -> list[Past]:
    """The newest phase of each other thread that is in force, whether the citizen was notified
    of it or not: it covers them.

    Args:
        sent_by: As it was when that was sent; an alert cancelled since may have been in force then.
    """
    newest = {p.phase.thread: p for p in past if sent_by is None or p.phase.sent_at <= sent_by}
    return [
        p
        for thread, p in newest.items()
        if thread != but
        and not p.phase.ends
        and p.phase.expires_at > at
        and not (p.over and (sent_by is None or (p.over_at is not None and p.over_at <= at)))
    ]


def most_severe(rows: Iterable[Past]) -> Phase:
    """The most severe phase, of equals the newest."""
    return min((p.phase for p in rows), key=lambda s: (s.severity.rank, -s.sent_at.timestamp()))

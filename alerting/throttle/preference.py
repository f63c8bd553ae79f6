"""Preference: which of a channel's providers is called first, by how well each delivers.

A breaker sees a provider that refuses or does not answer. One that takes everything and delivers
late, or not, is seen here, from receipts: it slides behind the others and comes back when it has
been quiet for a while. Pure functions of their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

#: Receipts of so long back count, and so long is a quiet time.
SPAN_S = 15 * 60.0
#: What arrives later than this is late.
LATE_S = 5 * 60.0
#: So large a share of late ones costs a step; with fewer messages nothing is known.
LATE_SHARE = 0.15
LEAST = 50

STEP = 10
MOST = 100


@dataclass(frozen=True, slots=True)
class Record:
    """One provider of late. told: messages accepted; late: of them late or lost."""

    name: str
    told: int
    late: int
    penalty: int
    changed_at: datetime | None

    @property
    def bad(self) -> bool:
        return self.told >= LEAST and self.late >= LATE_SHARE * self.told


@dataclass(frozen=True, slots=True)
class Change:
    """A provider's new penalty and why."""

    name: str
    penalty: int
    reason: str


def changes(channel: Sequence[Record], *, now: datetime) -> list[Change]:
    """What changes among the providers of one channel; each changes once in a span at most.

    Where all are bad none is worse than another: then the fault is the network's, or ours.
    """
    if len(channel) < 2:
        return []
    all_bad = all(r.bad for r in channel if r.told >= LEAST)
    found = []
    for r in channel:
        rested = r.changed_at is None or now - r.changed_at >= timedelta(seconds=SPAN_S)
        if not rested:
            continue
        if r.bad and not (all_bad and _others_known(channel, r)):
            worse = min(MOST, r.penalty + STEP)
            if worse != r.penalty:
                share = f"{r.late / r.told:.0%} of {r.told:,} messages came late or not at all"
                found.append(Change(r.name, worse, share))
        elif r.penalty and not r.bad:
            found.append(Change(r.name, max(0, r.penalty - STEP), "quiet"))
    return found


def _others_known(channel: Sequence[Record], one: Record) -> bool:
    return any(r.told >= LEAST for r in channel if r is not one)

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
    """One provider of late.

    told: messages it accepted. arrived: of them reported as delivered. late: delivered late, or
    lost. silent: due by now and never heard of.
    """

    name: str
    told: int = 0
    arrived: int = 0
    late: int = 0
    silent: int = 0
    penalty: int = 0
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A provider's new penalty and why."""

    name: str
    penalty: int
    reason: str


def changes(channel: Sequence[Record], *, now: datetime) -> list[Change]:
    """What changes among the providers of one channel; each changes once in a span at most.

    Where all that are known are bad none is worse than another: then the fault is the network's,
    or ours. Silence counts only where some provider of the channel does report what arrives: mail
    relays never do, and where receipts are lost on their way to us nobody is at fault.
    """
    if len(channel) < 2:
        return []
    reports = any(r.arrived for r in channel)
    lost = {r.name: r.late + (r.silent if reports else 0) for r in channel}
    known = [r for r in channel if r.told >= LEAST]
    bad = {r.name for r in known if lost[r.name] >= LATE_SHARE * r.told}
    nobody_is_better = len(known) > 1 and len(bad) == len(known)
    found = []
    for r in channel:
        if r.changed_at is not None and now - r.changed_at < timedelta(seconds=SPAN_S):
            continue
        if r.name in bad and r.penalty < MOST and not nobody_is_better:
            share = f"{lost[r.name] / r.told:.0%} of {r.told:,} messages came late or not at all"
            found.append(Change(r.name, min(MOST, r.penalty + STEP), share))
        elif r.name not in bad and r.penalty:
            found.append(Change(r.name, max(0, r.penalty - STEP), "quiet"))
    return found

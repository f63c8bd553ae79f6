"""The queue of a replay: deferred deliveries and digests, on the simulated clock."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from alerting.domain.decision import Reason
from alerting.replay.ledger import Entry, Ledger, Source
from alerting.replay.replay_delivery import Delivery, Outcome
from alerting.throttle.digest_items import HeldItem, select_items
from alerting.throttle.evaluator import Subject


@dataclass(slots=True, eq=False)
class Pending:
    """A delivery that waits.

    Attributes:
        expires_at: The end of the danger it is about, for this citizen.
        reason: Why it waits.
        deferrals: How often it was deferred.
    """

    delivery: Delivery
    source: Source
    subject: Subject
    entry: Entry
    expires_at: datetime
    reason: str = ""
    deferrals: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """Deliveries due at one instant: of one alert, round and channel, or of one digest."""

    at: datetime
    digest: bool
    items: list[Pending]


class Waiting:
    """A queue ordered by time, then by insertion."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Hashable]] = []
        self._groups: dict[Hashable, list[Pending]] = {}
        self._open: dict[Source, set[Pending]] = {}
        self._numbers = count()

    def defer(self, pending: Pending, until: datetime) -> None:
        """Decide the delivery again at `until`."""
        pending.deferrals += 1
        key = ("again", until, pending.source.no, pending.deferrals, pending.delivery.channel)
        self._put(key, pending, until)

    def digest(self, pending: Pending, slot_at: datetime) -> None:
        """Add the delivery to its citizen's digest."""
        delivery = pending.delivery
        self._put(("digest", slot_at, delivery.citizen, delivery.channel), pending, slot_at)

    def due(self, now: datetime | None) -> Due | None:
        """The next item due by `now`, or at any time if `now` is None; None when nothing is due."""
        while self._heap and (now is None or self._heap[0][0] <= now):
            at, _, key = heapq.heappop(self._heap)
            items = [p for p in self._groups.pop(key) if self._is_open(p)]
            for p in items:
                self._close(p)
            if items:
                return Due(at, isinstance(key, tuple) and key[0] == "digest", items)
        return None

    def holds(self, source: Source) -> bool:
        """True while a delivery of the alert waits."""
        return source in self._open

    def revoke(self, source: Source) -> list[Pending]:
        """Remove and return all waiting deliveries of an alert."""
        return sorted(
            self._open.pop(source, ()), key=lambda p: (p.delivery.citizen, p.delivery.channel)
        )

    def _put(self, key: Hashable, pending: Pending, at: datetime) -> None:
        if key not in self._groups:
            self._groups[key] = []
            heapq.heappush(self._heap, (at, next(self._numbers), key))
        self._groups[key].append(pending)
        self._open.setdefault(pending.source, set()).add(pending)

    def _is_open(self, pending: Pending) -> bool:
        return pending in self._open.get(pending.source, ())

    def _close(self, pending: Pending) -> None:
        group = self._open[pending.source]
        group.discard(pending)
        if not group:
            del self._open[pending.source]


_OUTCOMES = {
    Reason.EXPIRED: Outcome.EXPIRED,
    Reason.SUPERSEDED: Outcome.SUPERSEDED,
    Reason.CANCELLED: Outcome.SUPERSEDED,
}


def select_pending(
    items: Sequence[Pending], ledger: Ledger, now: datetime
) -> tuple[list[Pending], list[tuple[Pending, Outcome]]]:
    """The items that go into the digest, and the outcome of the others."""
    held = {
        n: HeldItem(
            key=n,
            event=p.source.event,
            phase=p.entry.phase,
            state=p.source.state,
            expires_at=p.expires_at,
            places=p.entry.places,
            history=ledger.known(p.delivery.citizen, p.source, now)[0],
        )
        for n, p in enumerate(items)
    }
    alive, gone = select_items(list(held.values()), now)
    numbers = {id(h): n for n, h in held.items()}
    return (
        [items[numbers[id(h)]] for h in alive],
        [(items[numbers[id(h)]], _OUTCOMES.get(r, Outcome.DROPPED)) for h, r in gone],
    )

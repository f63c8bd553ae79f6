"""Which thread and which event each alert of a trace belongs to, and what older ones it ends.

The rule is the live path's (`throttle.placing`), asked of the alerts played so far.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerting.domain.alert import Alert, MsgType, Reference
from alerting.domain.alert_state import ENDED, AlertState
from alerting.replay.memory import Source
from alerting.throttle.cover import covers
from alerting.throttle.events import placing
from alerting.throttle.events.placing import Candidate, Linked, says_over
from alerting.throttle.events.same import Pool, Signature, blocks, seek, signature
from alerting.throttle.policy.parse import Policy

#: A match is sought among so many of the newest alerts that may be like it.
_CANDIDATES = 100

#: How common words are is learnt from so many of the newest alerts.
_RECENT = 200


@dataclass(frozen=True, slots=True)
class Place:
    """ended: older alerts of the thread, with what they have become. merged: events that this
    alert's references show to be one with its own. unsure: a coordinator would be asked whether it
    is of another event too."""

    source: Source
    ended: list[tuple[Source, AlertState]]
    merged: list[Hashable]
    unsure: bool


@dataclass(slots=True, eq=False)
class _Kept:
    """counted_as: the event its words were counted for, though it may have been merged since."""

    source: Source
    signature: Signature
    counted_as: Hashable
    ends: bool


class Placing:
    """Takes alerts in the order they were sent."""

    def __init__(self, policy: Policy) -> None:
        self._same = policy.same_event
        self._window = timedelta(seconds=policy.same_event.window_s)
        self._pool = Pool()
        self._recent: deque[_Kept] = deque()
        self._number = 0
        self._by_triple: dict[Reference, Source] = {}
        #: Alerts by a triple they refer to: one may come after the update that names it.
        self._referring: dict[Reference, list[Source]] = defaultdict(list)
        self._live: dict[Hashable, list[Source]] = defaultdict(list)
        self._of_event: dict[Hashable, list[Source]] = defaultdict(list)
        self._by_block: dict[str, deque[_Kept]] = defaultdict(deque)

    def place(self, alert: Alert, expires_at: datetime) -> Place:
        """Find an alert's thread and event among those played, and what it ends."""
        mine = signature(alert)
        linked = self._linked(alert)
        found = placing.place(
            mine,
            [Linked(s.thread, s.event) for s in linked],
            [] if linked else self._near(alert, mine),
            self._pool,
            self._same,
            ends=says_over(alert),
        )
        thread = found.thread or f"{self._number}:{alert.identifier}"
        event = found.event or thread
        source = Source(self._number, alert, thread, event, expires_at)
        ended = self._ended(alert, {thread, *(s.thread for s in linked)})
        self._keep(_Kept(source, mine, event, says_over(alert)))
        for other in found.merged:
            self._merge(other, event)
        return Place(source, ended, list(found.merged), found.question is not None)

    def _linked(self, alert: Alert) -> list[Source]:
        """Those it refers to, those that refer to it or to the same, the oldest first."""
        found = [self._by_triple[r] for r in alert.references if r in self._by_triple]
        for r in (alert.triple, *alert.references):
            found += self._referring.get(r, ())
        return sorted(dict.fromkeys(found), key=lambda s: (s.alert.sent, s.no))

    def _near(self, alert: Alert, mine: Signature) -> list[Candidate[Hashable]]:
        """Earlier alerts that may be like this one, the newest of them."""
        since = alert.sent - self._window
        while len(self._recent) > _RECENT:
            old = self._recent.popleft()
            self._pool.drop(old.signature, old.counted_as, sender=old.signature.sender)
        near: dict[_Kept, None] = {}
        for key in seek(mine):
            kept = self._by_block[key]
            while kept and kept[0].source.alert.sent < since:
                kept.popleft()
            near |= dict.fromkeys(k for k in kept if k.source.state is not AlertState.CANCELLED)
        newest = sorted(near, key=lambda k: (k.source.alert.sent, k.source.no), reverse=True)
        return [
            Candidate(k.source.thread, k.source.event, k.source.alert.sent, k.signature, k.ends)
            for k in newest[:_CANDIDATES]
        ]

    def _ended(self, alert: Alert, threads: set[Hashable]) -> list[tuple[Source, AlertState]]:
        """An update ends those it speaks for; a cancel ends them all."""
        if alert.msg_type not in {MsgType.UPDATE, MsgType.CANCEL}:
            return []
        cancel = alert.msg_type is MsgType.CANCEL
        state = AlertState.CANCELLED if cancel else AlertState.SUPERSEDED
        ended = []
        for thread in threads:
            live = self._live[thread]
            live[:] = [s for s in live if s.state not in ENDED]
            older = [s for s in live if s.alert.sent < alert.sent]
            ended += [(s, state) for s in older if cancel or covers(alert, s.alert)]
        return ended

    def _keep(self, kept: _Kept) -> None:
        self._number += 1
        source = kept.source
        self._by_triple[source.alert.triple] = source
        for r in source.alert.references:
            self._referring[r].append(source)
        self._live[source.thread].append(source)
        self._of_event[source.event].append(source)
        self._recent.append(kept)
        self._pool.add(kept.signature, kept.counted_as, sender=kept.signature.sender)
        for key in blocks(kept.signature):
            self._by_block[key].append(kept)

    def _merge(self, event: Hashable, into: Hashable) -> None:
        moved = self._of_event.pop(event, [])
        for source in moved:
            source.event = into
        self._of_event[into] += moved

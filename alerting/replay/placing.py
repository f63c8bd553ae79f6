"""Which thread and which event each alert of a trace belongs to, and what older ones it ends.

The rules are the live path's (`throttle.events`), asked of the alerts played so far.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerting.domain.alert import Alert, MsgType
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.version import Name, Version, name_of
from alerting.replay.memory import Source
from alerting.throttle.cover import speaks_for
from alerting.throttle.events import placing, referring
from alerting.throttle.events.placing import Candidate, Linked
from alerting.throttle.events.same import Pool, Signature, blocks, seek, signature
from alerting.throttle.policy.parse import Policy

#: A match is sought among so many of the newest alerts that may be like it.
_CANDIDATES = 100

#: How common words are is learnt from so many of the newest alerts.
_RECENT = 200


@dataclass(frozen=True, slots=True)
class Place:
    """ended: older alerts of the thread, with what they have become. rest: those of its danger that
    an end leaves standing for people outside its areas. merged: events that this alert's references
    show to be one with its own. unsure: a coordinator would be asked whether it is of another event
    too."""

    source: Source
    ended: list[tuple[Source, AlertState]]
    rest: list[Source]
    merged: list[Hashable]
    unsure: bool


@dataclass(slots=True, eq=False)
class _Kept:
    """counted_as: the event its words were counted for, though it may have been merged since."""

    source: Source
    signature: Signature
    counted_as: Hashable


class Placing:
    """Takes alerts in the order they were sent."""

    def __init__(self, policy: Policy) -> None:
        self._same = policy.same_event
        self._window = timedelta(seconds=policy.same_event.window_s)
        self._pool = Pool()
        self._recent: deque[_Kept] = deque()
        self._number = 0
        self._by_name: dict[Name, list[_Kept]] = defaultdict(list)
        #: Alerts by a name they refer to: one may come after the update that names it.
        self._referring: dict[Name, list[_Kept]] = defaultdict(list)
        self._by_sender: dict[str, list[_Kept]] = defaultdict(list)
        self._of_thread: dict[Hashable, list[Source]] = defaultdict(list)
        self._of_event: dict[Hashable, list[Source]] = defaultdict(list)
        self._by_block: dict[str, deque[_Kept]] = defaultdict(deque)

    def place(self, alert: Alert, expires_at: datetime) -> Place:
        """Find an alert's thread and event among those played, and what it ends.

        Whoever must decide what an unclear end means is taken to say yes.
        """
        names = referring.names_of(alert)
        kept = dict.fromkeys(k for n in names for k in (*self._by_name[n], *self._referring[n]))
        known = [_version(k.source) for k in kept]
        found = referring.referred(alert, known, may_end=lambda _sender: True)
        alert, _ = referring.reissue(alert, found)
        mine = signature(alert)
        acts = alert.msg_type in {MsgType.UPDATE, MsgType.CANCEL} or alert.ends
        if acts and not found.versions:
            found = referring.guess(alert, found, mine, self._live(alert), approved=True).found
        placed = placing.place(
            mine,
            [Linked(v.thread, v.event) for v in found.versions],
            [] if found.versions else self._near(alert, mine),
            self._pool,
            self._same,
        )
        thread = placed.thread or f"{self._number}:{alert.identifier}"
        event = placed.event or thread
        at = referring.order_at(alert, found, now=alert.sent)
        source = Source(self._number, alert, thread, event, expires_at, at)
        self._join(found.threads, thread)
        ended, rest = self._ended(source)
        self._keep(_Kept(source, mine, event))
        for other in placed.merged:
            self._merge(other, event)
        return Place(source, ended, rest, list(placed.merged), placed.question is not None)

    def _live(self, alert: Alert) -> list[tuple[Version[Hashable], Signature]]:
        """The alerts of a sender whose danger stands, the newest first."""
        mine = self._by_sender[alert.sender.lower()]
        mine[:] = [k for k in mine if k.source.expires_at > alert.sent]
        return [
            (_version(k.source), k.signature)
            for k in reversed(mine)
            if k.source.state not in ENDED and not k.source.alert.ends
        ]

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
            Candidate(
                k.source.thread,
                k.source.event,
                k.source.order_at,
                k.signature,
                k.source.alert.ends,
            )
            for k in newest[:_CANDIDATES]
        ]

    def _ended(self, new: Source) -> tuple[list[tuple[Source, AlertState]], list[Source]]:
        """What a version ends of those before it, and what of them it leaves standing."""
        alert = new.alert
        if alert.msg_type not in {MsgType.UPDATE, MsgType.CANCEL} and not alert.ends:
            return [], []
        cancel = alert.msg_type is MsgType.CANCEL
        state = AlertState.CANCELLED if cancel else AlertState.SUPERSEDED
        older = [
            s
            for s in self._of_thread[new.thread]
            if s.state not in ENDED and s.order_at < new.order_at and not s.alert.ends
        ]
        ended = [s for s in older if speaks_for(alert, s.alert)]
        rest = [s for s in older if s not in ended] if alert.ends else []
        return [(s, state) for s in ended], rest

    def _join(self, threads: Iterable[Hashable], into: Hashable) -> None:
        for thread in threads:
            if thread != into:
                moved = self._of_thread.pop(thread, [])
                for source in moved:
                    source.thread = into
                self._of_thread[into] += moved

    def _keep(self, kept: _Kept) -> None:
        self._number += 1
        source = kept.source
        self._by_name[name_of(source.alert.triple)].append(kept)
        for r in source.alert.references:
            self._referring[name_of(r)].append(kept)
        self._by_sender[source.alert.sender.lower()].append(kept)
        self._of_thread[source.thread].append(source)
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


def _version(source: Source) -> Version[Hashable]:
    return Version(
        source.no,
        source.thread,
        source.event,
        source.alert.triple,
        source.order_at,
        source.expires_at,
        source.alert.references,
    )

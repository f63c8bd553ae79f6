"""The earlier alerts of a trace, and its citizens, behind the interfaces that intake uses.

See `alerting.dispatch.placement.earlier`. All alerts of a replay are Actual and public.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerting.dispatch.placement.earlier import Named
from alerting.dispatch.placement.place import RECENT, RECENT_EXTREME
from alerting.domain.alert import Alert, NamedValue, Status
from alerting.domain.alert_state import ENDED, AlertState
from alerting.domain.principal import Principal
from alerting.domain.version import Name, Version, name_of
from alerting.replay.concern import Concern
from alerting.replay.ledger import Source
from alerting.store.alerts.issued import Issued
from alerting.throttle.events.placing import Candidate
from alerting.throttle.events.referring import names_of
from alerting.throttle.events.same import Pool, Signature, blocks


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    source: Source
    signature: Signature


class _Words:
    """The words of the `most` newest alerts."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pool = Pool()
        self._newest: deque[_Kept] = deque()
        #: The event for which each alert's words are counted.
        self._counted: dict[_Kept, Hashable] = {}
        self._lent: list[_Kept] = []

    def keep(self, kept: _Kept) -> None:
        self._take_back()
        self._count(kept)
        self._newest.append(kept)
        if len(self._newest) > self._most:
            self._forget(self._newest.popleft())

    def merge(self, event: Hashable, into: Hashable) -> None:
        """Join two events that have turned out to be one."""
        self._take_back()
        for kept in [k for k in self._newest if self._counted[k] == event]:
            self._forget(kept)
            self._count(kept, into)

    def beside(self, alike: Iterable[_Kept]) -> Pool:
        """The pool of their words and those of the newest; valid until the next call."""
        self._take_back()
        self._lent = [k for k in alike if k not in self._counted]
        for kept in self._lent:
            self._count(kept)
        return self._pool

    def _take_back(self) -> None:
        for kept in self._lent:
            self._forget(kept)
        self._lent = []

    def _count(self, kept: _Kept, event: Hashable = None) -> None:
        event = self._counted[kept] = kept.source.event if event is None else event
        self._pool.add(kept.signature, event, sender=kept.signature.sender)

    def _forget(self, kept: _Kept) -> None:
        self._pool.drop(kept.signature, self._counted.pop(kept), sender=kept.signature.sender)


class PastAlerts:
    """`EarlierAlerts` of a trace; grows with each alert that is kept.

    Args:
        waits: Returns True while a delivery of the alert waits.
    """

    def __init__(self, waits: Callable[[Source], bool]) -> None:
        self._waits = waits
        self._by_no: dict[Hashable, _Kept] = {}
        self._by_name: dict[Name, list[_Kept]] = defaultdict(list)
        #: Alerts by the names they reference: an alert may arrive after its update.
        self._referring: dict[Name, list[_Kept]] = defaultdict(list)
        self._by_sender: dict[str, list[_Kept]] = defaultdict(list)
        self._of_thread: dict[Hashable, list[Source]] = defaultdict(list)
        self._of_event: dict[Hashable, list[_Kept]] = defaultdict(list)
        self._by_block: dict[str, deque[_Kept]] = defaultdict(deque)
        self._issued: dict[str, list[datetime]] = defaultdict(list)
        self._words = {most: _Words(most) for most in (0, RECENT_EXTREME, RECENT)}

    @property
    def next_no(self) -> int:
        """The number of the next alert that is kept."""
        return len(self._by_no)

    def source(self, no: Hashable) -> Source:
        """The alert with this number."""
        return self._by_no[no].source

    def new_id(self, identifier: str) -> Hashable:
        return f"{self.next_no}:{identifier}"

    async def named(self, new: Alert) -> Named[Hashable]:
        names = names_of(new)
        found = dict.fromkeys(k for n in names for k in (*self._by_name[n], *self._referring[n]))
        return Named([_version(k.source) for k in found])

    async def of_sender(
        self, new: Alert, *, now: datetime
    ) -> Sequence[tuple[Version[Hashable], Signature]]:
        mine = self._by_sender[new.sender.lower()]
        mine[:] = [k for k in mine if k.source.expires_at > now]
        return [
            (_version(k.source), k.signature)
            for k in reversed(mine)
            if k.source.state not in ENDED and not k.source.ends
        ]

    async def alike(
        self, new: Alert, blocks: Sequence[str], *, since: datetime, limit: int
    ) -> Mapping[Hashable, Candidate[Hashable]]:
        near: dict[_Kept, None] = {}
        for key in blocks:
            kept = self._by_block[key]
            while kept and kept[0].source.alert.sent < since:
                kept.popleft()
            near |= dict.fromkeys(k for k in kept if k.source.state is not AlertState.CANCELLED)
        newest = sorted(near, key=lambda k: (k.source.alert.sent, k.source.no), reverse=True)
        return {
            k.source.no: Candidate(
                k.source.thread, k.source.event, k.source.order_at, k.signature, k.source.ends
            )
            for k in newest[:limit]
        }

    async def words(
        self, status: Status, alike: Mapping[Hashable, Candidate[Hashable]], *, recent: int
    ) -> Pool:
        return self._words[recent].beside(self._by_no[no] for no in alike)

    async def newer(self, thread_id: Hashable, than: datetime) -> Sequence[Alert]:
        return [s.alert for s in self._of_thread[thread_id] if s.order_at > than]

    async def live(
        self, thread_id: Hashable, *, before: datetime, but: Hashable
    ) -> Sequence[Source]:
        found = [
            s
            for s in self._of_thread[thread_id]
            if s.state not in ENDED and s.order_at < before and s.no != but
        ]
        for source in found:
            source.finished_at = None if self._waits(source) else source.alert.sent
        return found

    async def issued(
        self, principal: Principal, sender: str, *, since: datetime, until: datetime
    ) -> Issued:
        # A trace has no keys: each sender counts as a machine with its own key.
        times = self._issued[sender]
        count = bisect_left(times, until) - bisect_left(times, since)
        return Issued(count, count)

    def join(self, threads: Iterable[Hashable], into: Hashable) -> None:
        """Make the alerts of other threads versions of one."""
        for thread in threads:
            if thread != into:
                moved = self._of_thread.pop(thread, [])
                for source in moved:
                    source.thread = into
                self._of_thread[into] += moved

    def merge(self, event: Hashable, into: Hashable) -> None:
        """Make the alerts of one event part of another."""
        moved = self._of_event.pop(event, [])
        for words in self._words.values():
            words.merge(event, into)
        for kept in moved:
            kept.source.event = into
        self._of_event[into] += moved

    def keep(self, source: Source, signature: Signature) -> None:
        """Remember an alert before the next one comes."""
        kept = _Kept(source, signature)
        self._by_no[source.no] = kept
        self._by_name[name_of(source.alert.triple)].append(kept)
        for r in source.alert.references:
            self._referring[name_of(r)].append(kept)
        self._by_sender[source.alert.sender.lower()].append(kept)
        self._of_thread[source.thread].append(source)
        self._of_event[source.event].append(kept)
        for words in self._words.values():
            words.keep(kept)
        for key in blocks(signature):
            self._by_block[key].append(kept)
        if source.state not in ENDED:
            self._issued[source.alert.sender].append(source.alert.sent)


class PastCitizens:
    """`Register` of the citizens of a replay."""

    def __init__(self, concern: Concern) -> None:
        self._concern = concern

    async def at_least(self, alert: Alert, people: int) -> bool:
        return len(self._concern.inside(alert)) >= people

    async def count(self, alert: Alert, *, unless_below: int) -> int:
        return len(self._concern.inside(alert))

    async def unknown_codes(self, alert: Alert, *, least: int) -> Sequence[NamedValue]:
        # They are only reported in notes, which a replay does not show.
        return ()


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

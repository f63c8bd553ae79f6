"""The ledger of a replay, in memory: which alerts concerned each citizen, and which reached them.

It answers as the live ledger does (`alerting.dispatch.evaluation.history`), so that the same rules
see the same facts.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from alerting.domain.alert import Alert
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane, lane_of
from alerting.throttle.belief import Past
from alerting.throttle.hazard import hazard_of
from alerting.throttle.phase import Phase

#: How long after its end an alert can still affect a decision: the longest a policy compares.
KEPT = timedelta(days=14)
#: The number of other alerts of a hazard that one decision considers, the latest first.
_MOST = 200


@dataclass(slots=True, eq=False)
class Source:
    """An alert and its current state, which changes when its thread goes on or is cancelled.

    Attributes:
        alert: As intake takes it: one that reuses a known name is an update.
        order_at: Orders the versions of a thread.
        over: Whether an end ended it, at `over_at`.
        finished_at: When its last delivery was final; None while one waits.
    """

    no: int
    alert: Alert
    thread: Hashable
    event: Hashable
    expires_at: datetime
    order_at: datetime
    state: AlertState = AlertState.DELIVERING
    over: bool = False
    over_at: datetime | None = None
    finished_at: datetime | None = None
    hazards: frozenset[str] = field(init=False)
    lane: Lane = field(init=False)

    @property
    def id(self) -> Hashable:
        return self.no

    @property
    def ends(self) -> bool:
        """True when all of it says that a danger is over."""
        return self.alert.ends

    def __post_init__(self) -> None:
        self.hazards = frozenset(hazard_of(i) for i in self.alert.infos)
        self.lane = lane_of(self.alert)


@dataclass(slots=True, eq=False)
class Entry:
    """One alert of one citizen, as the live ledger would hold it."""

    source: Source
    phase: Phase
    places: int
    at: datetime
    notified: bool = False
    silent: bool = False
    waits: bool = False
    partly: bool = False
    _past: Past | None = None

    def tell(self, at: datetime, *, silent: bool, partly: bool = False) -> None:
        """Record that it reached the citizen.

        Args:
            partly: As an end, while another alert of the danger went on.
        """
        self.silent = silent and (self.silent or not self.notified)
        self.at = self.at if self.notified else at
        self.notified, self.waits = True, False
        self.partly = partly
        self._past = None

    def wait(self, waits: bool) -> None:
        """Record whether it waits and may still reach the citizen."""
        self.waits, self._past = waits, None

    def past(self) -> Past:
        source = self.source
        if self.phase.thread != source.thread:
            self.phase, self._past = replace(self.phase, thread=source.thread), None
        replaced = source.state is AlertState.SUPERSEDED
        if self._past is None or (self._past.over, self._past.replaced) != (source.over, replaced):
            self._past = Past(
                self.phase,
                self.places,
                self.notified,
                self.silent,
                source.over,
                self.at,
                self.waits,
                replaced=replaced,
                over_at=source.over_at,
                partly=self.partly,
            )
        return self._past


class Ledger:
    """Holds every citizen's entries, and forgets those that can no longer affect a decision."""

    def __init__(self) -> None:
        self._citizens: dict[int, _Citizen] = {}

    def add(self, citizen: int, entry: Entry) -> None:
        kept = self._citizens.setdefault(citizen, _Citizen())
        kept.by_event.setdefault(entry.source.event, []).append(entry)
        for hazard in entry.source.hazards:
            kept.by_hazard.setdefault(hazard, []).append(entry)

    def merge(self, event: Hashable, into: Hashable) -> None:
        """Join two events that have turned out to be one."""
        for kept in self._citizens.values():
            moved = kept.by_event.pop(event, None)
            if moved is not None:
                kept.by_event.setdefault(into, []).extend(moved)

    def known(self, citizen: int, source: Source, now: datetime) -> tuple[list[Past], list[Past]]:
        """The citizen's past alerts of the same event, and those of other events of its hazards."""
        kept = self._citizens.get(citizen)
        if kept is None:
            return [], []
        kept.forget(now)
        same = kept.by_event.get(source.event, [])
        past = [e.past() for e in same if e.source is not source]
        if source.lane in {Lane.EXTREME, Lane.SEVERE}:
            return past, []
        return past, [e.past() for e in kept.others(source, now)]


@dataclass(slots=True)
class _Citizen:
    by_event: dict[Hashable, list[Entry]] = field(default_factory=dict)
    by_hazard: dict[str, list[Entry]] = field(default_factory=dict)
    forgot_at: datetime | None = None

    def others(self, source: Source, now: datetime) -> list[Entry]:
        """The latest alerts of other events, for a hazard of this alert, that have not ended."""
        found: dict[Entry, None] = {}
        for hazard in source.hazards:
            entries = self.by_hazard.get(hazard)
            if entries is None:
                continue
            # Keep all of a thread in force, so that an ended danger is known to be over.
            in_force = {e.source.thread for e in entries if e.source.expires_at > now}
            entries[:] = [e for e in entries if e.source.thread in in_force]
            for e in entries[-_MOST:]:
                if e.source.event != source.event and e.source.state is not AlertState.CANCELLED:
                    found[e] = None
        return list(found)[-_MOST:]

    def forget(self, now: datetime) -> None:
        """Drop what is long over; at most once per day of the trace."""
        if self.forgot_at is not None and now - self.forgot_at < timedelta(days=1):
            return
        self.forgot_at = now
        for event, entries in list(self.by_event.items()):
            entries[:] = [e for e in entries if e.source.expires_at + KEPT > now]
            if not entries:
                del self.by_event[event]

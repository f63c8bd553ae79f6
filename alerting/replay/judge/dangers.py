"""Every citizen's dangers: what each is, found by alert and forgotten when long over."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from alerting.domain.alert import Alert, Reference
from alerting.replay.judge.grouping import Links, Node, node_of
from alerting.replay.judge.said import NO_END, Said

#: How long after a danger expired its end is still news.
END_IS_NEWS = timedelta(days=1)


class Kind(StrEnum):
    """What changes for a citizen, most important first."""

    BEGIN = "begin"
    END = "end"
    SEVERITY = "severity"
    EASED = "severity eased"
    ENTERED = "area entered"
    RESPONSE = "response types"
    TEXT = "text"
    URGENCY = "urgency"
    CERTAINTY = "certainty"
    ONSET = "earlier onset"
    EXTENSION = "extension"


#: What must be heard by a time of its own.
_TIMED = frozenset({Kind.END, Kind.ONSET, Kind.EXTENSION})


@dataclass(slots=True, eq=False)
class Voice:
    """One thread of a danger.

    Attributes:
        said: Its newest version.
        told: The last version that reached the citizen; None when none did since it began.
        rang_at: When a version last interrupted them.
    """

    threads: list[Node]
    said: Said
    latest: Reference
    no: int
    ended: bool = False
    told: Said | None = None
    told_no: int = -1
    rang_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """True also at the instant of its end, when many senders issue the next version."""
        return not self.ended and now <= self.said.until

    def goes_on_from(self, end: Alert) -> bool:
        """True when a version issued at or after an end says that the danger goes on.

        A version that the end references precedes it, whatever its time.
        """
        return self.latest.sent >= end.sent and self.latest not in end.references

    def take_in(self, other: Voice) -> None:
        """Merge a thread that has become one with this; the newer version counts."""
        self.threads += other.threads
        if other.no > self.no:
            self.said, self.latest, self.no = other.said, other.latest, other.no
            self.ended = other.ended
        if other.told_no > self.told_no:
            self.told, self.told_no = other.told, other.told_no
        mark_notified = [at for at in (self.rang_at, other.rang_at) if at is not None]
        self.rang_at = max(mark_notified, default=None)


@dataclass(slots=True, eq=False)
class Change:
    """Something a citizen must hear.

    Attributes:
        rank: The severity it is reported under.
        no: The number of the alert that makes it.
        loud: Whether only an interruption counts.
        lost: Why the delivery that should have said it did not.
    """

    kinds: tuple[Kind, ...]
    voice: Voice
    said: Said
    spots: int
    rank: int
    no: int
    identifier: str
    deadline: datetime
    loud: bool
    lost: str = ""

    @property
    def lasting(self) -> bool:
        """True when it may be heard as long as its danger is in force."""
        return not self.loud and not _TIMED & set(self.kinds)

    def answered_by(self, voice: Voice, said: Said, spots: int, no: int) -> bool:
        """True when hearing this answers the change."""
        if voice is self.voice:
            return no >= self.no
        return self.covered_by(said, spots)

    def covered_by(self, said: Said, spots: int) -> bool:
        """True when another thread of the danger says all of it.

        No two threads use the same words: a changed text that the other thread told is its own
        wording.
        """
        kinds = [k for k in self.kinds if k is not Kind.TEXT]
        return bool(kinds) and all(_says(kind, said, self, spots) for kind in kinds)


def _says(kind: Kind, said: Said, change: Change, spots: int) -> bool:
    wanted = change.said
    match kind:
        case Kind.BEGIN:
            return said.as_much_as(wanted)
        case Kind.SEVERITY:
            return said.rank <= wanted.rank
        case Kind.URGENCY:
            return said.urgency <= wanted.urgency
        case Kind.CERTAINTY:
            return said.certainty <= wanted.certainty
        case Kind.RESPONSE:
            return said.responses >= wanted.moving
        case Kind.ENTERED:
            return said.rank <= wanted.rank and not change.spots & ~spots
        case Kind.EXTENSION:
            return said.end >= wanted.end
        case _:
            return False


@dataclass(slots=True, eq=False)
class Danger:
    """One danger for one citizen.

    Attributes:
        spots: The citizen's places it contains.
        told_spots: The places for which they were notified.
        open: Changes not heard yet.
    """

    voices: list[Voice] = field(default_factory=list)
    spots: int = 0
    told_spots: int = 0
    open: list[Change] = field(default_factory=list)

    def in_force(self, now: datetime, *, but: Voice | None = None) -> list[Voice]:
        return [v for v in self.voices if v is not but and v.in_force(now)]

    @property
    def told(self) -> bool:
        return any(v.told is not None for v in self.voices)

    def told_end(self) -> datetime | None:
        """The latest end the citizen was told; None when they were not notified."""
        ends = [v.told.end for v in self.voices if v.told is not None and not v.ended]
        return max(ends, default=None)

    def told_by_others(self, now: datetime, *, but: Voice) -> list[Said]:
        """What they were told by other threads and is in force."""
        return [
            v.told
            for v in self.voices
            if v is not but and v.told is not None and v.in_force(now) and v.told.until > now
        ]

    def has_open(self, kind: Kind) -> Change | None:
        return next((c for c in self.open if kind in c.kinds), None)

    @property
    def over_at(self) -> datetime:
        """When the last of its threads expires."""
        return max((v.said.until for v in self.voices), default=NO_END)

    def take_in(self, other: Danger) -> None:
        """Merge a danger that has become one with this."""
        self.voices += other.voices
        self.open += other.open
        self.spots |= other.spots
        self.told_spots |= other.told_spots


class Dangers:
    """All dangers of all citizens; two are merged when a later alert shows them to be one."""

    def __init__(self) -> None:
        self._links = Links()
        self._by_danger: dict[Node, dict[int, Danger]] = {}
        self._of: dict[int, list[Danger]] = {}
        self._wordings: dict[tuple[int, tuple[object, ...]], Voice] = {}
        self._forgot_at: datetime | None = None

    def take(self, alert: Alert, incident: Hashable | None) -> None:
        """Link an alert to those before it."""
        for gone, into in self._links.place(alert, incident):
            self._merge(gone, into)

    def find(self, citizen: int, node: Node) -> tuple[Danger | None, Voice | None]:
        """The citizen's danger that an alert belongs to, and the alert's thread in it."""
        danger = self._by_danger.get(self._links.danger(node), {}).get(citizen)
        if danger is None:
            return None, None
        thread = self._links.thread(node)
        mine = [v for v in danger.voices if any(self._links.thread(t) == thread for t in v.threads)]
        for other in mine[1:]:
            mine[0].take_in(other)
            danger.voices.remove(other)
            for c in danger.open:
                if c.voice is other:
                    c.voice = mine[0]
        return danger, mine[0] if mine else None

    def begin(self, citizen: int, node: Node) -> Danger:
        """Begin a danger for a citizen who has none of this alert yet."""
        danger = Danger()
        self._of.setdefault(citizen, []).append(danger)
        self._by_danger.setdefault(self._links.danger(node), {})[citizen] = danger
        return danger

    def join(self, citizen: int, node: Node, voice: Voice) -> Danger | None:
        """Make an alert part of the danger of a thread, for this citizen; return that danger."""
        danger, _ = self.find(citizen, voice.threads[0])
        voice.threads.append(node)
        if danger is not None:
            self._by_danger.setdefault(self._links.danger(node), {})[citizen] = danger
        return danger

    def worded(self, citizen: int, voice: Voice) -> None:
        """Record what a thread says to a citizen now."""
        self._wordings[citizen, voice.said.words] = voice

    def said_already(self, citizen: int, said: Said, now: datetime) -> Voice | None:
        """The thread in force that has said exactly this to the citizen, if any."""
        voice = self._wordings.get((citizen, said.words))
        if voice is None or not voice.in_force(now) or voice.said.words != said.words:
            return None
        return voice

    def of(self, citizen: int) -> list[Danger]:
        return self._of.get(citizen, [])

    def of_thread(self, alert: Alert) -> dict[int, tuple[Danger, Voice]]:
        """By citizen, the danger and thread of the alert that have not ended."""
        node = node_of(alert.triple)
        mine: dict[int, tuple[Danger, Voice]] = {}
        for citizen in self._by_danger.get(self._links.danger(node), {}):
            danger, voice = self.find(citizen, node)
            if danger is not None and voice is not None and not voice.ended:
                mine[citizen] = danger, voice
        return mine

    def forget(self, now: datetime) -> Iterator[tuple[int, Danger]]:
        """Remove and yield what is long over, by citizen; at most once per day of the trace."""
        if self._forgot_at is not None and now - self._forgot_at < timedelta(days=1):
            return
        self._forgot_at = now
        for citizen, dangers in self._of.items():
            yield from ((citizen, d) for d in dangers if d.over_at + END_IS_NEWS <= now)
            dangers[:] = [d for d in dangers if d.over_at + END_IS_NEWS > now]
        for node, those in list(self._by_danger.items()):
            for citizen in [c for c, d in those.items() if d.over_at + END_IS_NEWS <= now]:
                del those[citizen]
            if not those:
                del self._by_danger[node]
        self._wordings = {k: v for k, v in self._wordings.items() if v.said.until >= now}

    def all(self) -> Iterator[tuple[int, Danger]]:
        for citizen, dangers in self._of.items():
            yield from ((citizen, d) for d in dangers)

    def _merge(self, gone: Node, into: Node) -> None:
        kept = self._by_danger.setdefault(into, {})
        for citizen, danger in self._by_danger.pop(gone, {}).items():
            other = kept.setdefault(citizen, danger)
            if other is not danger and danger in self._of[citizen]:
                other.take_in(danger)
                self._of[citizen].remove(danger)

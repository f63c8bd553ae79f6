"""A danger as one citizen should know it: what is said, what they heard and what they must hear."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from alerting.domain.alert import Alert, Reference
from alerting.replay.judge.links import Node
from alerting.replay.judge.said import NO_END, Said


class Kind(StrEnum):
    """What changes for a citizen, in the order of weight."""

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
    """One thread of a danger. said: its newest version. told: the version that reached the citizen
    last; None where none did since it began. rang_at: when one last interrupted them."""

    threads: list[Node]
    said: Said
    latest: Reference
    no: int
    ended: bool = False
    told: Said | None = None
    told_no: int = -1
    rang_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """True also at the very instant of its end, when many senders issue the next version."""
        return not self.ended and now <= self.said.until

    def goes_on_from(self, end: Alert) -> bool:
        """True where a version of the instant of an end, or later, says that it goes on.

        A version that the end refers to is before it, whatever its time.
        """
        return self.latest.sent >= end.sent and self.latest not in end.references

    def take_in(self, other: Voice) -> None:
        """Go on as two threads that have become one; the newer version counts."""
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
    """Something that a citizen must hear.

    no: of the alert that makes it. rank: the gravity it is reported under. loud: only what
    interrupts counts. lost: why the delivery that should have said it did not.
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
        """True where it may be heard as long as its danger is in force."""
        return not self.loud and not _TIMED & set(self.kinds)

    def answered_by(self, voice: Voice, said: Said, spots: int, no: int) -> bool:
        """True where who hears this has heard of the change."""
        if voice is self.voice:
            return no >= self.no
        return self.covered_by(said, spots)

    def covered_by(self, said: Said, spots: int) -> bool:
        """True where another thread of the danger says all of it.

        No two word it alike: the new text of a change that the other told of is its own wording.
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
    """spots: the citizen's places it holds. told_spots: those at which they were told of it. open:
    changes not heard yet."""

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
        """The latest end the citizen was told; None where they were told of nothing."""
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
        """When the last of it runs out."""
        return max((v.said.until for v in self.voices), default=NO_END)

    def take_in(self, other: Danger) -> None:
        """Go on as two dangers that have become one."""
        self.voices += other.voices
        self.open += other.open
        self.spots |= other.spots
        self.told_spots |= other.told_spots

"""A danger as one citizen should know it, for the oracle: what is said and what they heard."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime

from alerting.domain.alert import Alert, Category, Reference, ResponseType, Urgency
from alerting.domain.language import primary
from alerting.replay.delivery import Delivery
from alerting.replay.links import Thread

NEVER = 99

_CLASS = {
    Urgency.IMMEDIATE: 0,
    Urgency.EXPECTED: 0,
    Urgency.FUTURE: 1,
    Urgency.UNKNOWN: 2,
    Urgency.PAST: 3,
}
_IDLE = frozenset({ResponseType.NONE, ResponseType.ALL_CLEAR})


#: Name, urgency class, response types, instruction, language and categories of an info.
Said = tuple[str, int, frozenset[ResponseType], str, str, frozenset[Category]]

#: What a newer alert of a thread replaces.
_SAID = (
    "thread", "sender", "name", "area", "rank", "urgency", "responses", "instruction", "language",
    "categories", "expires_at", "latest", "event", "incident",
)  # fmt: skip


@dataclass(slots=True, eq=False)
class Danger:
    """One thread as one citizen should know it, and what of it they were told.

    told: the rank of the last message of the thread that reached them. messages: how many did.
    owed: ranks of state changes that waited and were replaced; the thread must still be told of.
    """

    thread: Thread
    sender: str
    name: str
    area: str
    rank: int
    urgency: int
    responses: frozenset[ResponseType]
    instruction: str
    language: str
    categories: frozenset[Category]
    expires_at: datetime
    latest: Reference
    event: Hashable
    incident: str | None
    ended: bool = False
    told: int = NEVER
    messages: int = 0
    owed: list[int] = field(default_factory=list)

    def goes_on_from(self, end: Alert) -> bool:
        """True where a version of the instant of an end, or later, says that it goes on.

        A version that the end refers to is before it, whatever its time.
        """
        return self.latest.sent >= end.sent and self.latest not in end.references

    def in_force(self, now: datetime) -> bool:
        return not self.ended and now < self.expires_at

    def follow(self, newer: Danger, *, forget: bool) -> None:
        """Become what a newer alert of the thread says; `forget` what was told of an older one."""
        if forget:
            self.told = NEVER
        self.ended = False
        for name in _SAID:
            setattr(self, name, getattr(newer, name))

    def take_in(self, other: Danger) -> None:
        """Stand for another danger as well; the graver of the two counts."""
        if self.ended or (other.rank < self.rank and not other.ended):
            self.rank, self.ended = other.rank, other.ended
        self.expires_at = max(self.expires_at, other.expires_at)
        self.told = min(self.told, other.told)
        self.messages += other.messages
        self.owed += other.owed

    def says(self, other: Danger) -> bool:
        """True where it is as grave and as urgent and asks for all that the other asks for."""
        return (
            self.told <= other.rank
            and self.urgency <= other.urgency
            and self.responses >= other.responses
        )


@dataclass(slots=True)
class Change:
    """A state change until it is settled.

    about: the danger that begins or changes, or those that end. said: it as the delivery puts it.
    begins: it is no change of a danger in force. messages: of its thread, before it was judged.
    """

    about: list[Danger]
    said: Danger
    begins: bool
    ends: bool
    messages: int
    excused: bool = False


def said_of(delivery: Delivery) -> Said:
    info = delivery.info
    if info is None:
        return "", _CLASS[Urgency.UNKNOWN], frozenset(), "", "", frozenset()
    return (
        info.event,
        _CLASS[info.urgency],
        frozenset(info.response_types) - _IDLE,
        " ".join((info.instruction or "").split()).casefold(),
        info.language,
        frozenset(info.categories),
    )


def alike(a: Danger, b: Danger) -> bool:
    """What a reader would take for the same warning said again."""
    return (a.sender, a.name, a.area) == (b.sender, b.name, b.area)


def differ(old: Danger, new: Danger) -> bool:
    if (old.rank, old.urgency, old.responses) != (new.rank, new.urgency, new.responses):
        return True
    # A translation words everything anew and changes nothing.
    return primary(old.language) == primary(new.language) and old.instruction != new.instruction

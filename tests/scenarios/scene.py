"""The scene of the plays: who lives where, who may speak, and what can be said and done there.

Values only. A play is a list of these acts, so that it can be played again without some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from alerting.domain.alert import MsgType, Scope, Severity, Status
from alerting.domain.principal import RIGHTS, Principal

#: Areas by letter, each a degree wide, with the longitude of its western edge.
AREAS = {"A": 5.0, "B": 7.0, "C": 9.0, "D": 11.0}

#: Dangers of which no two can be taken for one, whoever tells of them.
HAZARDS = ("Flood", "Earthquake", "Chemical spill", "Missing person", "Air raid", "Heat wave")


@dataclass(frozen=True)
class Person:
    """channels: in their order. homes: the letters of the areas they have a place in."""

    name: str
    channels: tuple[str, ...]
    homes: str


PEOPLE = {
    p.name: p
    for p in (
        Person("anna", ("sms",), "A"),
        Person("axel", ("push",), "A"),
        Person("abel", ("sms",), "AB"),
        Person("beth", ("email",), "B"),
        Person("boris", ("sms", "email"), "B"),
        Person("cleo", ("push",), "C"),
        Person("carl", ("sms",), "AC"),
        Person("dora", ("sms",), "D"),
    )
}

#: Who takes part in drills and hears what is not for the public.
GROUPS: dict[str, frozenset[str]] = {
    "lighthouse": frozenset({"cleo", "carl"}),
    "harbour": frozenset(),
}


def _principal(name: str, person: int, *rights: str, senders: str) -> Principal:
    return Principal(name, UUID(int=person), frozenset(rights), (senders,))


#: Who acts. `met-cli` is the person behind `met` by another way in.
PRINCIPALS = {
    "met": _principal("key:met", 1, "submit", "read", senders="met@example.org"),
    "met-cli": _principal("cli:met", 1, *RIGHTS, senders="*"),
    "fire": _principal("key:fire", 2, "submit", "read", senders="fire@example.org"),
    "prank": _principal("key:prank", 3, "submit", senders="prank@example.org"),
    "chief": _principal("key:chief", 4, *RIGHTS, senders="*"),
}


class Klass(StrEnum):
    """For whom something is said; what is not PUBLIC is for named participants only."""

    PUBLIC = "public"
    PRIVATE = "private"
    EXERCISE = "exercise"
    TEST = "test"


@dataclass(frozen=True)
class Ref:
    """A reference to an earlier saying, by its number, as it is meant.

    how: `right`, or what is wrong with it: `second` (one off), `offset`, `bare` (the identifier
    alone), `case` (of the sender), `blank` (after the commas), `minutes` (no seconds), `lost`
    (nothing is written).
    """

    to: int
    how: str = "right"


HOW = ("second", "offset", "bare", "case", "blank", "minutes", "lost")


@dataclass(frozen=True)
class Say:
    """Submit an alert. no: its number in the play.

    areas: letters; "" for no area, "*" for a point where nobody lives.
    over: how it says that the danger is over: `past`, `clear`, `at-issue` (ends as it is sent); ""
    for a danger. `past` and `clear` also say so for a Cancel, which ends the danger anyway.
    by: who submits; the sender themselves where it is "". name_of: bears the identifier of that
    earlier saying instead of its own. words, do: which description, which instruction.
    """

    no: int
    hazard: str
    kind: MsgType = MsgType.ALERT
    areas: str = "A"
    refs: tuple[Ref, ...] = ()
    sender: str = "met"
    by: str = ""
    status: Status = Status.ACTUAL
    scope: Scope = Scope.PUBLIC
    addresses: tuple[str, ...] = ("lighthouse",)
    severity: Severity = Severity.SEVERE
    over: str = ""
    hours: float = 30
    words: int = 0
    do: int = 0
    name_of: int | None = None
    ahead_s: int = 0

    @property
    def klass(self) -> Klass:
        if self.status is Status.ACTUAL:
            return Klass.PUBLIC if self.scope is Scope.PUBLIC else Klass.PRIVATE
        return Klass.EXERCISE if self.status is Status.EXERCISE else Klass.TEST

    @property
    def closed(self) -> bool:
        return self.klass is not Klass.PUBLIC

    @property
    def danger(self) -> tuple[str, Klass]:
        return self.hazard, self.klass

    @property
    def ends(self) -> bool:
        return self.kind is MsgType.CANCEL or bool(self.over)

    @property
    def principal(self) -> Principal:
        return PRINCIPALS[self.by or self.sender]

    @property
    def own(self) -> bool:
        """It comes from whom it says it is from."""
        return self.principal.speaks_for(f"{self.sender}@example.org")


@dataclass(frozen=True)
class Unsaid:
    """What a play would have had here: its name is known, and nothing is submitted."""

    say: Say


@dataclass(frozen=True)
class CallOff:
    """Cancel a saying by the command: by its id, or all that bear its identifier."""

    no: int
    by_name: bool = False
    false_alarm: bool = False
    by: str = ""


@dataclass(frozen=True)
class Approve:
    """Let go what is held."""

    no: int
    by: str = "chief"


@dataclass(frozen=True)
class Join:
    """A coordinator says that two sayings are of one event."""

    no: int
    other: int


@dataclass(frozen=True)
class Part:
    """A coordinator says that a saying's thread is an event of its own."""

    no: int


@dataclass(frozen=True)
class Step:
    """Time passes, for everybody and for PostgreSQL."""

    seconds: int


@dataclass(frozen=True)
class Work:
    """A new worker takes up all there is, once, and maintenance runs.

    script: (channel, what the carrier does with the next public messages), as `carrier.TAKES` has
    them. meanwhile: what happens while a worker sleeps in the middle of a call.
    """

    script: tuple[tuple[str, tuple[str, ...]], ...] = ()
    meanwhile: tuple[Act, ...] = ()


@dataclass(frozen=True)
class Idle:
    """Workers run until nothing is left to do now."""


@dataclass(frozen=True)
class Move:
    """A citizen moves."""

    name: str
    homes: str


@dataclass(frozen=True)
class Keep:
    """A host whose clock is ahead runs maintenance."""

    ahead_s: int


@dataclass(frozen=True)
class Rules:
    """More citizens than this need a second person's word."""

    audience_max: int


Act = Say | Unsaid | CallOff | Approve | Join | Part | Step | Work | Idle | Move | Keep | Rules

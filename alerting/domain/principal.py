"""Principals: who acts, by what means, and what they may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from uuid import UUID

from alerting.domain.alert import Alert, MsgType, Status
from alerting.errors import Forbidden

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

#: Every right there is: `submit` (send alerts and cancel your own), `end-any` (end or replace
#: alerts of other senders), `approve` (approve held alerts, decide which alerts are one event,
#: close alarms), `people` (add and end people; create, assign and revoke keys), `read`.
RIGHTS = ("submit", "read", "approve", "end-any", "silence", "policy", "people")


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a machine that acts, whether by a page, a key or the command line.

    Attributes:
        actor: The name in the audit: `person:ada`, `person:ada key:ada-phone`, `key:gauges` for a
            machine, or a word for a part of this system.
        person_id: The person behind it; None for a machine. Two principals with the same person are
            one person, whatever means they use.
        senders: Patterns of the CAP senders it speaks for; `*` for all, case does not count.
        statuses: The statuses it may submit.
        area: Where it may alert; None for anywhere.
        holders: Persons beside its own who have seen its key, for they made it.
    """

    actor: str
    person_id: UUID | None = None
    rights: frozenset[str] = frozenset()
    senders: tuple[str, ...] = ("*",)
    statuses: frozenset[Status] = frozenset(Status)
    area: BaseGeometry | None = None
    holders: frozenset[UUID] = frozenset()

    def may(self, right: str) -> bool:
        return right in self.rights

    def require(self, right: str) -> None:
        """Raise Forbidden when it does not have the right."""
        if not self.may(right):
            raise Forbidden(
                f"{self.actor} does not have the right {right!r}.",
                remedy="Ask somebody who has it, or who may grant it (`alerting people list`).",
            )

    def speaks_for(self, sender: str) -> bool:
        """True where it may send alerts under this sender's name."""
        name = sender.casefold()
        return any(fnmatchcase(name, pattern.casefold()) for pattern in self.senders)

    def may_end(self, sender: str) -> bool:
        """True where it may end or replace this sender's alerts."""
        return self.may("end-any") or self.speaks_for(sender)

    def may_end_others(self, sender: str) -> bool:
        """True when it may end this sender's alerts under another sender's name.

        A pattern that matches every sender is no permission to end anybody's alerts.
        """
        named = [p for p in self.senders if p != "*"]
        return self.may("end-any") or replace(self, senders=tuple(named)).speaks_for(sender)

    def outside(self, alert: Alert) -> str:
        """Why an alert is outside its authority, as a whole sentence; empty when it is not."""
        if alert.status not in self.statuses:
            return f"{self.actor} may not use the status {alert.status}."
        if self.area is None or alert.msg_type in {MsgType.ACK, MsgType.ERROR}:
            return ""
        from alerting.domain import ground

        why = ground.beyond(alert, self.area)
        return f"{self.actor} may alert only within its own area, and {why}." if why else ""

    @property
    def persons(self) -> frozenset[UUID]:
        """All persons who may act through it."""
        return self.holders if self.person_id is None else self.holders | {self.person_id}

    def may_be(self, other: Principal) -> bool:
        """True when one and the same person may be behind both."""
        if self.actor == other.actor:
            return True
        if self.person_id is None and other.person_id is None:
            return bool(self.holders & other.holders)
        return self.person_id in other.persons or other.person_id in self.persons

    @property
    def names(self) -> tuple[str, ...]:
        """The names a policy may use for it: its actor, and its person's and its key's name."""
        if self.actor.startswith("key:"):
            key = self.actor.removeprefix("key:")
            # A name from before names were checked must not pass for a person's name.
            return (self.actor,) if ":" in key else (self.actor, key)
        who, _, key = self.actor.partition(" key:")
        return (self.actor, who, f"key:{key}", key) if key else (self.actor,)

    def exceeds(self, other: Principal) -> str:
        """What it may do that another may not, in words; empty when that is nothing."""
        if more := [r for r in RIGHTS if r in self.rights - other.rights]:
            return f"the right {more[0]!r}"
        if wider := [s for s in self.senders if not _covered(s, other.senders)]:
            return f"the sender {wider[0]!r}"
        if others := sorted(self.statuses - other.statuses):
            return f"the status {others[0]}"
        if other.area is not None and (self.area is None or not _covers(other.area, self.area)):
            return "an area"
        return ""

    def limited_to(self, other: Principal) -> Principal:
        """The same principal with no more authority than another has."""
        mine = [s for s in self.senders if _covered(s, other.senders)]
        theirs = [s for s in other.senders if _covered(s, self.senders)]
        return replace(
            self,
            rights=self.rights & other.rights,
            senders=tuple(dict.fromkeys([*mine, *theirs])),
            statuses=self.statuses & other.statuses,
            area=_common(self.area, other.area),
        )


# Few have an area; the others do not wait for the import of the geometry libraries.


def _covers(wide: BaseGeometry, narrow: BaseGeometry) -> bool:
    from alerting.domain import ground

    return ground.covers(wide, narrow)


def _common(one: BaseGeometry | None, other: BaseGeometry | None) -> BaseGeometry | None:
    if one is None or other is None:
        return one if other is None else other
    from alerting.domain import ground

    return ground.common(one, other)


def internal(name: str) -> Principal:
    """A part of this system that acts by itself, with every right."""
    return Principal(name, rights=frozenset(RIGHTS))


def _covered(pattern: str, others: Sequence[str]) -> bool:
    """True when one of `others` matches everything that this pattern matches."""
    return any(_fits_all(other.casefold(), pattern.casefold()) for other in others)


def _fits_all(wide: str, narrow: str) -> bool:
    """True when `wide` matches every text that `narrow` matches; never wrongly True.

    Only a `*` of `wide` can match a `*` of `narrow`.
    """
    reached = set(_past_stars(wide, 0))
    for char in narrow:
        after: set[int] = set()
        for at in reached:
            if wide[at : at + 1] == "*":
                after.update(_past_stars(wide, at))
            elif char != "*" and wide[at : at + 1] in {"?", char}:
                after.update(_past_stars(wide, at + 1))
        reached = after
    return len(wide) in reached


def _past_stars(pattern: str, at: int) -> Iterator[int]:
    """A position in a pattern, and those after it when its stars match nothing."""
    yield at
    while at < len(pattern) and pattern[at] == "*":
        at += 1
        yield at

"""What was said, as it was meant: which sayings belong together, and which of them stand.

Worked out from the acts of a play alone. Where people could differ about what was meant it says
less: an end that may have been meant for a saying ends it here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from post import Done
from scene import (
    PEOPLE,
    PRINCIPALS,
    Approve,
    CallOff,
    Idle,
    Join,
    Klass,
    Move,
    Part,
    Say,
)

from alerting.domain.alert import MsgType

Danger = tuple[str, Klass]


@dataclass(frozen=True)
class Said:
    """A saying at its place among the acts."""

    say: Say
    place: int
    done: Done

    @property
    def until(self) -> datetime:
        return self.done.at + timedelta(seconds=self.say.ahead_s, hours=self.say.hours)


@dataclass(frozen=True)
class End:
    """Something that ends a danger.

    of: the sayings it may have been meant for; None where that could be any. areas: for whose
    homes; None for everybody.
    """

    danger: Danger
    place: int
    before: int
    of: frozenset[int] | None
    areas: frozenset[str] | None


class Meaning:
    """The acts so far."""

    def __init__(self, done: Sequence[Done]) -> None:
        self.done = done
        self.said = {
            d.act.no: Said(d.act, n, d) for n, d in enumerate(done) if isinstance(d.act, Say)
        }
        self._above = {no: no for no in self.said}
        self._alike = {no: no for no in self.said}
        for no, said in self.said.items():
            for other in self._meant(said):
                self._above[_root(self._above, no)] = _root(self._above, other)
                self._alike[_root(self._alike, no)] = _root(self._alike, other)
            twin = self._twin(said)
            if twin is not None:
                self._alike[_root(self._alike, no)] = _root(self._alike, twin)
        self.moved = {d.act.name for d in done if isinstance(d.act, Move)}

    def homes(self, name: str) -> frozenset[str]:
        moves = [d.act.homes for d in self.done if isinstance(d.act, Move) and d.act.name == name]
        return frozenset(moves[-1] if moves else PEOPLE[name].homes)

    def dangers(self) -> set[Danger]:
        return {s.say.danger for s in self.said.values()}

    def sayings(self, danger: Danger) -> Iterator[Said]:
        """Those that tell of a danger, without what ends it."""
        return (s for s in self.said.values() if s.say.danger == danger and not s.say.ends)

    def groups(self, danger: Danger) -> int:
        """For how many events a reader could rightly take what was said of a danger, at most."""
        notified = list(self.sayings(danger))
        parts = sum(
            isinstance(d.act, Part) and self.said[d.act.no].say.danger == danger for d in self.done
        )
        unclear = sum(
            s.say.kind is MsgType.UPDATE
            and all(r.how != "right" for r in s.say.refs)
            and len({_root(self._above, o.say.no) for o in notified if o.place < s.place}) > 1
            for s in notified
        )
        return max(1, len({_root(self._alike, s.say.no) for s in notified})) + parts + unclear

    def joined(self, danger: Danger) -> set[Danger]:
        """The dangers a coordinator made one event with this one, itself included."""
        found = {danger}
        pairs = [
            (self.said[d.act.no].say.danger, self.said[d.act.other].say.danger)
            for d in self.done
            if isinstance(d.act, Join) and d.answer == "ok"
        ]
        for _ in pairs:
            for one, other in pairs:
                if found & {one, other}:
                    found |= {one, other}
        return found

    def lets(self, said: Said) -> int | None:
        """The place from which a saying counts: its own, or that of a second person's word."""
        waits = said.say.no in said.done.waiting or not self.rightful(said)
        if said.done.answer == "ok" and not waits:
            return said.place
        if said.done.answer.startswith("refused"):
            return None
        for place, d in enumerate(self.done):
            if isinstance(d.act, Approve) and d.act.no == said.say.no and d.answer == "ok":
                approver = PRINCIPALS[d.act.by].person_id
                if approver != said.say.principal.person_id:
                    return place
        return None

    def next_idle(self, place: int) -> int | None:
        """Where workers next had nothing left to do."""
        after = range(place + 1, len(self.done))
        return next((n for n in after if isinstance(self.done[n].act, Idle)), None)

    def rightful(self, said: Said) -> bool:
        """Whoever said it may speak so, and of what it refers to."""
        by = said.say.principal
        others = [self.said[no].say.sender for no in self._meant(said)]
        return said.say.own and all(by.may_end(f"{s}@example.org") for s in others)

    def ends(self) -> Iterator[End]:
        """Everything that had a right to end a danger, as far as anybody could think it did."""
        for place, d in enumerate(self.done):
            if isinstance(d.act, CallOff) and d.act.no in self.said and d.answer == "ok":
                named = self.said[d.act.no].say
                by = PRINCIPALS[d.act.by or named.sender]
                if by.may_end(f"{named.sender}@example.org"):
                    of = self._threads([d.act.no])
                    yield End(named.danger, place, d.before, of, None)
        for said in self.said.values():
            say, place = said.say, self.lets(said)
            if not say.ends or place is None:
                continue
            sure = bool(say.refs) and all(r.how == "right" for r in say.refs)
            of = self._threads(self._meant(said)) if sure else None
            letters = frozenset(say.areas) - {"*"}
            about = [o for o in self.said.values() if of is None or o.say.no in of]
            covered = {a for o in about if not o.say.ends for a in o.say.areas}
            areas = letters if letters & covered else None
            yield End(say.danger, place, self.done[place].before, of, areas)

    def stands_for(
        self, name: str, danger: Danger, place: int, notified: set[int], before: int, at: datetime
    ) -> bool:
        """True where what was said of a danger before the act at `place`, or what somebody was
        told already, certainly still holds for them.

        notified: the places of that. before: ends that came when the carriers had been handed no
        more messages than this count, whatever their place.
        """
        if name in self.moved or self.groups(danger) > 1:
            return False
        ends = [e for e in self.ends() if e.danger == danger and e.before <= before]
        known = [s for s in self.sayings(danger) if s.place < place or s.place in notified]
        for s in known:
            if self.lets(s) != s.place or s.until <= at:
                continue
            if any(u.place > s.place and self._tied(u, s) for u in known):
                continue
            still = self.homes(name) & frozenset(s.say.areas)
            for e in ends:
                if e.place > s.place and (e.of is None or s.say.no in e.of):
                    still = frozenset() if e.areas is None else still - e.areas
            if still:
                return True
        return False

    def _meant(self, said: Said) -> list[int]:
        """The earlier sayings of its danger that a saying refers to or takes the name of."""
        named = [] if said.say.name_of is None else [said.say.name_of]
        return [
            no
            for no in (*(r.to for r in said.say.refs), *named)
            if no in self.said and self.said[no].say.danger == said.say.danger
        ]

    def _twin(self, said: Said) -> int | None:
        """An earlier saying with the very same text, all of which still held when this was said."""
        say = said.say
        for other in self.sayings(say.danger):
            o = other.say
            same = (o.sender, o.areas, o.words, o.do, o.severity) == (
                say.sender, say.areas, say.words, say.do, say.severity,
            )  # fmt: skip
            ended = any(
                isinstance(d.act, CallOff) or (isinstance(d.act, Say) and d.act.ends)
                for d in self.done[other.place : said.place]
            )
            if other.place < said.place and same and not ended and other.until > said.done.at:
                return o.no
        return None

    def _threads(self, of: Sequence[int]) -> frozenset[int]:
        roots = {_root(self._above, no) for no in of}
        return frozenset(no for no in self.said if _root(self._above, no) in roots)

    def _tied(self, one: Said, other: Said) -> bool:
        return _root(self._above, one.say.no) == _root(self._above, other.say.no)


def _root(above: dict[int, int], no: int) -> int:
    while above[no] != no:
        no = above[no]
    return no

"""Plays by chance: what people and machines do, weighted so that one thing leads to another."""

from __future__ import annotations

from dataclasses import replace

from draws import (
    AGENCY,
    AREAS,
    CLOSED,
    DANGERS,
    GAP,
    HIGH_PRIORITY,
    KIND,
    KINDS,
    OVER,
    PART,
    PICK,
    REFERS,
    THEN,
)
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from scene import (
    HAZARDS,
    PEOPLE,
    Act,
    Approve,
    CallOff,
    Idle,
    Join,
    Move,
    Part,
    Ref,
    Say,
    Step,
    Work,
)
from under_way import UnderWay, part_of

from alerting.domain.alert import MsgType, Severity


class Days(UnderWay):
    """What happens in a few districts, among two agencies, a prankster and a coordinator."""

    # What is said

    @rule(hazard=DANGERS, areas=AREAS, sender=AGENCY, severity=HIGH_PRIORITY, hours=st.sampled_from(
        [30, 30, 30, 1]), drill=PICK, then=THEN)  # fmt: skip
    def alert(
        self,
        hazard: str,
        areas: str,
        sender: str,
        severity: Severity,
        hours: float,
        drill: int,
        then: tuple[Act, ...],
    ) -> None:
        """Sometimes it names a drill, as one does who copies its text."""
        drills = [s.say.no for s in self._meaning.said.values() if s.say.closed]
        refs = (Ref(drills[drill]),) if drill < len(drills) else ()
        say = Say(self._no(), hazard, areas=areas, sender=sender, severity=severity, refs=refs)
        self._do(replace(say, hours=hours), *then)

    @precondition(lambda self: self._open)
    @rule(pick=PICK, how=REFERS, areas=PART, severity=HIGH_PRIORITY, words=st.integers(0, 3),
          act=st.integers(0, 2), gap=GAP, then=THEN)  # fmt: skip
    def update(
        self,
        pick: int,
        how: str,
        areas: str,
        severity: Severity,
        words: int,
        act: int,
        gap: int,
        then: tuple[Act, ...],
    ) -> None:
        old = self._pick(pick).say
        say = replace(old, areas=part_of(old.areas, areas), severity=severity, words=words, do=act)
        self._do(Step(gap), self._refer(say, old, MsgType.UPDATE, how), *then)

    @precondition(lambda self: self._open)
    @rule(pick=PICK, how=REFERS, kind=KIND, over=OVER,
          areas=st.sampled_from(["same", "same", "first", "last", "none", "token"]),
          gap=GAP, then=THEN)  # fmt: skip
    def end(
        self,
        pick: int,
        how: str,
        kind: MsgType,
        over: str,
        areas: str,
        gap: int,
        then: tuple[Act, ...],
    ) -> None:
        old = self._pick(pick).say
        say = replace(old, areas=part_of(old.areas, areas), over=over)
        self._do(Step(gap), self._refer(say, old, kind, how), *then)

    @precondition(lambda self: self._open)
    @rule(pick=PICK, same_name=st.booleans(), gap=st.sampled_from([1, 120, 700]), then=THEN)
    def again(self, pick: int, same_name: bool, gap: int, then: tuple[Act, ...]) -> None:
        """The same once more: under its name and a new time, or under another name."""
        old = self._pick(pick).say
        name_of = old.no if same_name else None
        kind = MsgType.ALERT if same_name else old.kind
        refs = () if same_name else old.refs
        say = replace(old, no=self._no(), name_of=name_of, kind=kind, refs=refs)
        self._do(Step(gap), say, *then)

    @rule(closed=CLOSED, kind=KINDS, pick=PICK, sender=st.sampled_from(["met", "prank"]),
          over=st.sampled_from(["", "clear"]), ahead_s=st.sampled_from([0, 0, 30]),
          then=THEN)  # fmt: skip
    def drill(
        self,
        closed: dict[str, object],
        kind: MsgType,
        pick: int,
        sender: str,
        over: str,
        ahead_s: int,
        then: tuple[Act, ...],
    ) -> None:
        """What is not for the public, which names what is where that was said."""
        refs = (Ref(self._pick(pick).say.no),) if self._open and kind is not MsgType.ALERT else ()
        hazard = self._pick(pick).say.hazard if self._open else HAZARDS[0]
        say = Say(self._no(), hazard, kind, areas="AC", refs=refs, sender=sender)
        over = over if kind is not MsgType.ALERT else ""
        self._do(replace(say, over=over, ahead_s=ahead_s, **closed), *then)  # type: ignore[arg-type]

    @precondition(lambda self: self._open)
    @rule(pick=PICK, kind=KIND, over=st.sampled_from(["", "clear"]), falsely=st.booleans(),
          then=THEN)  # fmt: skip
    def stranger(
        self, pick: int, kind: MsgType, over: str, falsely: bool, then: tuple[Act, ...]
    ) -> None:
        """Somebody else ends or changes it, by their own name or by its sender's."""
        old = self._pick(pick).say
        say = self._refer(replace(old, over=over), old, kind, "right")
        who = {"by": "prank"} if falsely else {"sender": "prank"}
        self._do(Step(1), replace(say, **who), *then)

    # What is done

    @precondition(lambda self: self._open)
    @rule(pick=PICK, by_name=st.booleans(), false_alarm=st.booleans(), then=THEN)
    def call_off(self, pick: int, by_name: bool, false_alarm: bool, then: tuple[Act, ...]) -> None:
        self._do(CallOff(self._pick(pick).say.no, by_name, false_alarm), *then)

    @precondition(lambda self: len(self._said) > 1)
    @rule(one=PICK, other=PICK)
    def merge(self, one: int, other: int) -> None:
        said = self._said
        self._do(Join(said[one % len(said)].say.no, said[other % len(said)].say.no))

    @precondition(lambda self: self._open)
    @rule(pick=PICK)
    def split(self, pick: int) -> None:
        self._do(Part(self._pick(pick).say.no))

    @precondition(lambda self: self._held)
    @rule(pick=PICK, by=st.sampled_from(["chief", "chief", "met-cli"]), then=THEN)
    def approve(self, pick: int, by: str, then: tuple[Act, ...]) -> None:
        held = self._held
        self._do(Approve(held[pick % len(held)], by), *then)

    @rule(seconds=st.sampled_from([1, 30, 150, 700, 4000]))
    def later(self, seconds: int) -> None:
        self._do(Step(seconds), Idle())

    @rule(channel=st.sampled_from(["sms", "email", "push"]), at=st.integers(0, 3))
    def worker_dies(self, channel: str, at: int) -> None:
        self._do(Work(((channel, ("takes",) * at + ("takes, worker dies",)),)))

    @rule(hazard=DANGERS, areas=AREAS, at=st.integers(0, 2), by_command=st.booleans(), over=OVER)
    def ends_while_it_is_sent(
        self, hazard: str, areas: str, at: int, by_command: bool, over: str
    ) -> None:
        """It ends in the middle of a provider's call, and others work on."""
        say = Say(self._no(), hazard, areas=areas)
        end: Act = CallOff(say.no)
        if not by_command:
            end = self._refer(replace(say, over=over), say, MsgType.UPDATE, "right")
        script = ("takes",) * at + ("takes, worker sleeps",)
        self._do(say, Work((("sms", script),), (Step(61), end, Work())))

    @rule(name=st.sampled_from(sorted(PEOPLE)), homes=st.sampled_from(["A", "B", "C", "D"]))
    def move(self, name: str, homes: str) -> None:
        self._do(Move(name, homes))

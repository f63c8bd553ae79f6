"""A play under way: what was said so far, and what must hold at every step and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from closing import PlayRunner, complain
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from judge import so_far
from meaning import Meaning, Said
from scene import Act, Ref, Rules, Say

from alerting.domain.alert import MsgType


class UnderWay(RuleBasedStateMachine):
    """Carries out what its rules draw; they are given by who extends it."""

    runner: ClassVar[PlayRunner]

    def __init__(self) -> None:
        super().__init__()
        self.scenario = self.runner.open()
        self.number = 0
        self.seed = 0
        self.failed = False

    @initialize(seed=st.integers(0, 2**20), most=st.sampled_from([None, None, None, 5]))
    def begin(self, seed: int, most: int | None) -> None:
        """seed: of how everything is ended. most: how many citizens one person may alert."""
        self.seed = seed
        if most is not None:
            self._do(Rules(most))

    # What must hold

    @invariant()
    def nothing_is_wrong_yet(self) -> None:
        self._judge(so_far(self.scenario.done, self.scenario.book, self.scenario.origin))

    def teardown(self) -> None:
        try:
            if not self.failed:
                self._judge(self.runner.finish(self.scenario, self.seed))
        finally:
            self.runner.close(self.scenario)

    def _judge(self, faults: Sequence[str]) -> None:
        self.failed = bool(faults)
        complain(self.scenario, faults)

    # How it is done

    def _do(self, *acts: Act) -> None:
        self.runner.play(self.scenario, acts)

    def _no(self) -> int:
        self.number += 1
        return self.number

    @property
    def _meaning(self) -> Meaning:
        return Meaning(self.scenario.done)

    @property
    def _said(self) -> list[Said]:
        return [s for s in self._meaning.said.values() if s.say.no in self.scenario.ids]

    @property
    def _open(self) -> list[Said]:
        """What was accepted for the public and tells of a danger, by whoever may."""
        return [
            s
            for s in self._said
            if not s.say.closed and not s.say.ends and self._meaning.rightful(s)
        ]

    @property
    def _held(self) -> list[int]:
        return sorted(self.runner.loop.run_until_complete(self.scenario.waiting()))

    def _pick(self, pick: int) -> Said:
        """One of what was said, the latest mostly."""
        said = self._open
        return said[-1 - pick % min(3, len(said))]

    def _refer(self, say: Say, old: Say, kind: MsgType, how: str) -> Say:
        """It said of the old one, which it names more or less rightly."""
        refs = [Ref(old.no, "right" if how == "several" else how)]
        if how == "several":
            mine = [s.say for s in self._open if s.say.danger == old.danger]
            refs += [Ref(s.no) for s in mine if s.sender == old.sender and s.no != old.no]
        no = self._no()
        return replace(say, no=no, kind=kind, refs=tuple(refs), name_of=None, ahead_s=0)


def part_of(areas: str, which: str) -> str:
    match which:
        case "first":
            return areas[:1]
        case "last":
            return areas[-1:]
        case "none":
            return ""
        case "token":
            return "*"
    return areas

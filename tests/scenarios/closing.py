"""How a play is played to its end, and what of it would have been without what is not public."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from judge import at_last, difference
from letters import Handed
from meaning import Meaning, Said
from minutes import explain
from scenario_harness import ScenarioHarness
from scene import Act, Approve, CallOff, Idle, Join, Klass, Part, Ref, Say, Step, Unsaid, Work

from alerting.domain.alert import MsgType


@dataclass(frozen=True)
class PlayRunner:
    """One database, and the tables that a play may leave something in."""

    loop: asyncio.AbstractEventLoop
    database_url: str
    tables: tuple[str, ...]

    def open(self) -> ScenarioHarness:
        scenario = ScenarioHarness(self.database_url)
        self.loop.run_until_complete(scenario.open(self.tables))
        return scenario

    def play(self, scenario: ScenarioHarness, acts: Sequence[Act]) -> None:
        self.loop.run_until_complete(scenario.play(acts))

    def close(self, scenario: ScenarioHarness) -> None:
        self.loop.run_until_complete(scenario.close())

    def finish(
        self, scenario: ScenarioHarness, seed: int | None, *, over: bool = False
    ) -> list[str]:
        """Let whatever is held go, end everything, and judge; then play it without what is not for
        the public, and compare.

        seed: of how it is ended; None for one by one, by id. over: it has been
        ended, and nobody needs to do more.
        """
        if not over:
            self.play(scenario, [Idle()])
            waiting = self.loop.run_until_complete(scenario.waiting())
            if waiting:
                self.play(scenario, [*(Approve(no) for no in sorted(waiting)), Idle()])
            self.play(scenario, list(ends(scenario, seed)))
        self.play(scenario, [Idle(), Step(150), Idle(), Step(1800), Idle()])
        faults = at_last(scenario.done, scenario.book, scenario.origin)
        acts = [d.act for d in scenario.done if not d.within]
        closed = {no for no, s in Meaning(scenario.done).said.items() if s.say.closed}
        if closed:
            without = self._log_of(list(public(acts, closed)))
            found = difference(scenario.book, without)
            # What differs from one time to the next is no effect of what was left out.
            if found and not difference(scenario.book, self._log_of(acts)):
                faults += found
        return faults

    def _log_of(self, acts: Sequence[Act]) -> list[Handed]:
        """What the carriers are handed in a play."""
        scenario = self.open()
        try:
            self.play(scenario, acts)
        finally:
            self.close(scenario)
        return scenario.book

    def judge(self, acts: Sequence[Act], *, over: bool = False) -> None:
        """Play to the end, and fail with the minutes where something is wrong."""
        scenario = self.open()
        try:
            self.play(scenario, acts)
            complain(scenario, self.finish(scenario, None, over=over))
        finally:
            self.close(scenario)


def complain(scenario: ScenarioHarness, faults: Sequence[str]) -> None:
    """Fail where there are faults, with the play as it went."""
    if faults:
        listed = "\n".join(f"  * {f}" for f in dict.fromkeys(faults))
        raise AssertionError(f"{listed}\n{explain(scenario.done, scenario.book)}")


def ends(scenario: ScenarioHarness, seed: int | None) -> Iterator[Act]:
    """Acts by which everything real that was said is ended by whoever said it, in any order."""
    chance = Random(seed)
    meaning = Meaning(scenario.done)
    number = max(meaning.said, default=0) + 1
    standing = [
        s
        for s in meaning.said.values()
        if not s.say.ends
        and s.say.no in scenario.ids
        and s.say.klass in {Klass.PUBLIC, Klass.PRIVATE}
    ]
    if seed is None:
        yield from (CallOff(s.say.no, by=_ender(meaning, s)) for s in standing)
        return
    chance.shuffle(standing)
    for said in standing:
        yield _end(said, number, chance, by=_ender(meaning, said))
        number += 1
        yield from chance.choice([(), (Idle(),), (Step(1), Idle()), (Step(90),), (Idle(), Step(7))])


def _ender(meaning: Meaning, said: Said) -> str:
    """Who may end it: who said it, or somebody with every right."""
    return "" if meaning.rightful(said) else "chief"


def _end(said: Said, number: int, chance: Random, *, by: str) -> Act:
    say, way = said.say, chance.choice("iiiinccccuuuu")
    if by:
        return CallOff(say.no, by=by)
    if way in "in":
        return CallOff(say.no, by_name=way == "n", false_alarm=chance.random() < 0.3)
    kind = MsgType.CANCEL if way == "c" else MsgType.UPDATE
    return replace(
        say,
        no=number,
        kind=kind,
        areas=chance.choice([say.areas, say.areas, say.areas, "", "*"]),
        refs=(Ref(say.no),),
        by="",
        over=chance.choice(["past", "clear", "at-issue"]),
        name_of=None,
        ahead_s=0,
    )


def public(acts: Sequence[Act], closed: set[int]) -> Iterator[Act]:
    """The acts without what is not for the public."""
    for act in acts:
        match act:
            case Say(no=no) if no in closed:
                yield Unsaid(act)
            case CallOff(no=no) | Approve(no=no) | Part(no=no) if no in closed:
                continue
            case Join(no=no, other=other) if {no, other} & closed:
                continue
            case Work():
                yield replace(act, meanwhile=tuple(public(act.meanwhile, closed)))
            case _:
                yield act

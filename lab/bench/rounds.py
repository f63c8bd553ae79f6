"""Several ways to do one job, measured alternately, round by round, and compared with the
product."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.bench.report import Table

#: The way every other is put beside.
SUBJECT = "ours"

COLUMNS = ("way", "messages a second", "rounds", "ours beside it")


@dataclass(frozen=True, slots=True)
class Way:
    """One way of doing the job.

    Attributes:
        run: Sends this many messages and returns how many a second; raises WorkFailed where one
            is missing or doubled: then no figure is worth anything.
    """

    name: str
    messages: int
    run: Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Messages a second of each way, in the order of the rounds."""

    of: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.of[name])

    def beside(self, name: str) -> float:
        """The product's rate as a multiple of it."""
        return self.median(SUBJECT) / self.median(name)

    def table(self, title: str) -> Table:
        rows: list[tuple[str, ...]] = [
            (
                name,
                f"{self.median(name):,.0f}",
                f"{min(rates):,.0f}–{max(rates):,.0f}",
                f"{self.beside(name):.2f}×",
            )
            for name, rates in self.of.items()
        ]
        return Table(title, COLUMNS, rows)


def measure(ways: Sequence[Way], rounds: int, say: Callable[[str], None]) -> Rounds:
    """Every way once in each round, so that what the machine does meanwhile strikes all alike."""
    of: dict[str, list[float]] = {way.name: [] for way in ways}
    for n in range(rounds):
        for way in ways:
            say(f"Round {n + 1} of {rounds}: {way.name}, {way.messages:,} messages …")
            of[way.name].append(way.run(way.messages))
    return Rounds(of)

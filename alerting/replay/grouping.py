"""How well alerts were grouped into events: pairs of messages, judged against known incidents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Grouping:
    """pairs: of messages of one incident. found: those put into one event. claimed: pairs put into
    one event, rightly or not."""

    pairs: int
    found: int
    claimed: int

    @property
    def precision(self) -> float | None:
        """The share of claimed pairs that are right; None where none was claimed."""
        return self.found / self.claimed if self.claimed else None

    @property
    def recall(self) -> float | None:
        """The share of true pairs that were found; None where there is none."""
        return self.found / self.pairs if self.pairs else None

    def to_json(self) -> dict[str, Any]:
        return {
            "precision": None if self.precision is None else round(self.precision, 4),
            "recall": None if self.recall is None else round(self.recall, 4),
            "pairs": self.pairs,
        }


def judge(messages: Iterable[tuple[Hashable, str | None]]) -> Grouping:
    """Judge (event, incident) of each message; a message without an incident is on its own."""
    events: Counter[Hashable] = Counter()
    incidents: Counter[str] = Counter()
    both: Counter[tuple[Hashable, str]] = Counter()
    for event, incident in messages:
        events[event] += 1
        if incident is not None:
            incidents[incident] += 1
            both[(event, incident)] += 1
    return Grouping(_pairs(incidents), _pairs(both), _pairs(events))


def _pairs(sizes: Counter[Any]) -> int:
    return sum(n * (n - 1) // 2 for n in sizes.values())

"""What a bench is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Options:
    """quick: the smallest sizes, to see that everything runs; such figures mean nothing.

    say: takes a sentence about what is being done. share: of the full size, where a bench says so.
    """

    quick: bool
    say: Callable[[str], None]
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach. Without `measured` it was not measured."""

    name: str
    reach: float
    measured: float | None
    at_most: bool = False
    unit: str = ""

    @property
    def reached(self) -> bool:
        if self.measured is None:
            return False
        return self.measured <= self.reach if self.at_most else self.measured >= self.reach

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "at_most" if self.at_most else "at_least": self.reach,
            "measured": self.measured,
            "unit": self.unit,
            "reached": self.reached,
        }


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for a person, their cells ready to print. The first column is text."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Report:
    """tables: for a person. figures: the same for a program. notes: what one should know."""

    tables: list[Table]
    targets: list[Target]
    figures: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            **self.figures,
            "targets": [t.to_json() for t in self.targets],
            "notes": self.notes,
        }


Bench: TypeAlias = Callable[[Options], Report]

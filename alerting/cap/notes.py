"""Notes of a reader: repairs, remarks and unclear parts, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from alerting.domain.alert import Repair, Unclear

#: A document made of errors must not become a list longer than itself.
_MOST = 200


@dataclass(slots=True)
class Notes:
    _repairs: dict[Repair, None] = field(default_factory=dict)
    _remarks: dict[Repair, None] = field(default_factory=dict)
    _unclear: dict[Unclear, None] = field(default_factory=dict)

    def repair(self, where: str, *what: str) -> None:
        """Note deviations from the schema; a repeated note is kept once."""
        self._repairs.update((Repair(where, w), None) for w in what)

    def remark(self, where: str, what: Iterable[str]) -> None:
        """Note what the schema permits and was read differently than written."""
        self._remarks.update((Repair(where, w), None) for w in what)

    def ask(self, where: str, what: str, remedy: str) -> None:
        """Note what a person is asked to correct."""
        self._unclear[Unclear(where, what, remedy)] = None

    @property
    def repairs(self) -> tuple[Repair, ...]:
        return _bounded(self._repairs)

    @property
    def remarks(self) -> tuple[Repair, ...]:
        return _bounded(self._remarks)

    @property
    def unclear(self) -> tuple[Unclear, ...]:
        return tuple(islice(self._unclear, _MOST))


def _bounded(notes: Iterable[Repair]) -> tuple[Repair, ...]:
    every = tuple(notes)
    if len(every) <= _MOST:
        return every
    return (*every[:_MOST], Repair("alert", f"{len(every) - _MOST} more of these"))

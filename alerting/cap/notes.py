"""What a reader writes down while it reads: repairs and remarks, in the order met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from alerting.domain.alert import Repair

#: A document made of faults should not become a list longer than itself.
_MOST = 200


@dataclass(slots=True)
class Notes:
    _repairs: dict[Repair, None] = field(default_factory=dict)
    _remarks: dict[Repair, None] = field(default_factory=dict)

    def repair(self, where: str, *what: str) -> None:
        """Note departures from the schema; a repeated note is kept once."""
        self._repairs.update((Repair(where, w), None) for w in what)

    def remark(self, where: str, what: Iterable[str]) -> None:
        """Note what the schema admits and was read otherwise than written."""
        self._remarks.update((Repair(where, w), None) for w in what)

    @property
    def repairs(self) -> tuple[Repair, ...]:
        return _bounded(self._repairs)

    @property
    def remarks(self) -> tuple[Repair, ...]:
        return _bounded(self._remarks)


def _bounded(notes: Iterable[Repair]) -> tuple[Repair, ...]:
    every = tuple(notes)
    if len(every) <= _MOST:
        return every
    return (*every[:_MOST], Repair("alert", f"{len(every) - _MOST} more of these"))

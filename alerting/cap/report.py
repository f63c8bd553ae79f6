"""Reports of a reader and of `check`: the error, findings, repairs and remarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from alerting.domain.alert import Repair, Unclear
from alerting.errors import BadInput


class CapError(BadInput):
    """The document is unsafe, or contains no usable alert; nothing was changed."""

    title = "Not a usable CAP alert"


@dataclass(frozen=True, slots=True)
class Finding:
    """One weakness of content. error: the alert cannot do its work, or CAP forbids it."""

    level: Literal["error", "warning", "note"]
    where: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text} {self.remedy}"


@dataclass(frozen=True, slots=True)
class InfoFacts:
    """What one info tells a citizen.

    source … time: which element answers that question, None when none does. Presence of a text
    decides, never its wording, so that it works in every language; `N/A` and similar texts do not
    count.
    """

    where: str
    language: str
    source: str | None
    hazard: str | None
    place: str | None
    guidance: str | None
    time: str | None
    headline_length: int


@dataclass(frozen=True, slots=True)
class Findings:
    findings: tuple[Finding, ...]
    infos: tuple[InfoFacts, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.level == "error")


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

"""Findings about an alert, and the facts of each info behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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

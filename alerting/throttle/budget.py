"""A citizen's budget of interruptions: what it is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from alerting.domain.alert import Severity


@dataclass(frozen=True, slots=True)
class ClassLimit:
    """at_once: how many may follow one another directly. per_day: how many in any 24 hours."""

    at_once: int
    per_day: int


@dataclass(frozen=True, slots=True)
class Limits:
    """spacing_s: one interruption each so long, in the long run. routine: severity Unknown."""

    spacing_s: int
    moderate: ClassLimit
    minor: ClassLimit
    routine: ClassLimit


class Window(Enum):
    """Which limit refused."""

    NONE = 0
    HOUR = 1
    DAY = 2


@dataclass(frozen=True, slots=True)
class Ask:
    citizen_id: int
    severity: Severity


@dataclass(frozen=True, slots=True)
class Answer:
    """wait_s: after how long it would be admitted, if nothing else came; 0 where it is."""

    admitted: bool
    window: Window
    wait_s: int


class Budget(Protocol):
    """Every citizen's budget."""

    async def ask(
        self,
        occasion: str,
        asks: Sequence[Ask],
        limits: Limits,
        *,
        timeout_s: float | None = None,
    ) -> list[Answer]:
        """Admit and charge, or refuse, each ask in order.

        Extreme and Severe are always admitted and charged. occasion: what is being decided; who
        is asked again for the same occasion is charged nothing and answered the same, for a day.
        Raises Unavailable when the budgets do not answer within `timeout_s`.
        """
        ...

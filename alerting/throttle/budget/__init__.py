"""The citizen's attention budget: how many interruptions of each severity, and how far apart.

There are two kinds of windows. Both use GCRA, which stores one instant for each: the theoretical
arrival time (TAT), when everything charged is paid off. HOUR spaces the interruptions of all
classes together. DAY bounds those of one class over a day: `per_day` at once with an untouched
budget, and one more each `per_day`-th part of a day after that.

A message charges the spacing, the day of its own class and the days of all less severe classes. So
a severe message uses up the room of less severe ones, never the other way round. Extreme and Severe
are always admitted and always charged. No debt exceeds its window, however many such messages came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from alerting.domain.alert import Severity

DAY_S = 86_400

#: Waits are answered in multiples of this, rounded up, so that an answer fits into two bytes.
WAIT_UNIT_S = 5

#: The longest wait that fits into two bytes.
LONGEST_WAIT_S = 32_767 * WAIT_UNIT_S

#: How long the answers of an occasion (see Budget.ask) are kept after the last new one.
REMEMBERED_S = DAY_S

#: Occasions and budgets are stored in buckets of this many citizens.
BUCKET = 1_000


@dataclass(frozen=True, slots=True)
class ClassLimit:
    """The limits of one class: `at_once` for the spacing, `per_day` for the day."""

    at_once: int
    per_day: int

    def __post_init__(self) -> None:
        if self.at_once < 1 or not 1 <= self.per_day <= DAY_S:
            raise ValueError(f"{self}: at_once is at least 1, per_day from 1 to {DAY_S}.")

    @property
    def day_step_s(self) -> int:
        """How far one message moves the day's TAT; whole seconds, rounded up."""
        return -(-DAY_S // self.per_day)

    @property
    def day_window_s(self) -> int:
        """The furthest the day's TAT can be ahead: all of `per_day` used."""
        return self.day_step_s * self.per_day

    @property
    def day_room_s(self) -> int:
        """The largest debt with which one more message fits into the day."""
        return self.day_window_s - self.day_step_s


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one policy. Unknown severity is `routine`. `spacing_s` 0 means no spacing."""

    spacing_s: int
    moderate: ClassLimit
    minor: ClassLimit
    routine: ClassLimit

    def __post_init__(self) -> None:
        if self.spacing_s < 0 or self.spacing_window_s > LONGEST_WAIT_S:
            raise ValueError(
                f"{self}: spacing_s times at_once lies between 0 and {LONGEST_WAIT_S}."
            )

    @property
    def classes(self) -> tuple[ClassLimit, ClassLimit, ClassLimit]:
        """The limited classes, the most severe first."""
        return self.moderate, self.minor, self.routine

    @property
    def spacing_window_s(self) -> int:
        """The furthest the spacing's TAT can be ahead: the largest `at_once` used."""
        return self.spacing_s * max(c.at_once for c in self.classes)

    @property
    def longest_window_s(self) -> int:
        """After this long without a message every budget is untouched again."""
        return max(self.spacing_window_s, *(c.day_window_s for c in self.classes))


class Window(Enum):
    """The window that refused. DAY when both do."""

    NONE = "none"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question: may this citizen be interrupted by a message of this severity?"""

    citizen_id: int
    severity: Severity


@dataclass(frozen=True, slots=True)
class Answer:
    """The budget's answer.

    Attributes:
        wait_s: How long until it would be admitted if nothing else came; 0 when admitted, else a
            multiple of WAIT_UNIT_S and never too short.
    """

    admitted: bool
    window: Window
    wait_s: int


ADMITTED = Answer(True, Window.NONE, 0)


class Budget(Protocol):
    """Answers for many citizens at once."""

    async def ask(
        self,
        occasion: str,
        asks: Sequence[Ask],
        limits: Limits,
        *,
        timeout_s: float | None = None,
    ) -> list[Answer]:
        """Return the answers, in order; an admitted message is charged by the same step.

        Citizens may have been charged even so; asking again under the same key returns the same
        answers.

        Args:
            occasion: An idempotency key, which names what is evaluated. Asking again for the same
                citizen under the same key, in any batch, charges nothing and returns the same
                answer for at least a day; so a retry, a redelivered chunk and a second worker are
                harmless. A citizen who occurs twice in one call is charged once, by the highest
                severity. One answer may change: a citizen who was refused under this key and is now
                asked for with Extreme or Severe is admitted.

        Raises:
            Unavailable: When there is no answer within `timeout_s`.
        """
        ...


#: The class that is always admitted; 1 to 3 are Moderate, Minor and routine.
HIGH_PRIORITY = 0

_CLASSES = {
    Severity.EXTREME: HIGH_PRIORITY,
    Severity.SEVERE: HIGH_PRIORITY,
    Severity.MODERATE: 1,
    Severity.MINOR: 2,
    Severity.UNKNOWN: 3,
}


def class_of(severity: Severity) -> int:
    """The budget's class of a severity; 0 is the most severe."""
    return _CLASSES[severity]

"""Where time comes from, so that tests and replays can move it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the present as an aware UTC instant."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SteadyClock:
    """An instant that was read once, advanced by a monotonic clock.

    PostgreSQL supplies it, so that all processes agree, whatever the clocks of their machines say.
    """

    def __init__(self, at: datetime) -> None:
        self.set(at)

    def set(self, at: datetime) -> None:
        """Go on from `at`, which is now."""
        self._at, self._since_s = at, time.monotonic()

    def now(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._since_s)


@dataclass
class ManualClock:
    """A clock that stands still until it is moved."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

"""What is kept of a play: every act with its answer, and every message a carrier was handed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from carrier import Carrier
from letters import Handed, read
from scene import Act, Klass

from alerting.channels.base import Outcome, Outgoing

#: No whole minute, so that what leaves out the seconds is wrong.
START = datetime(2026, 12, 1, 12, 0, 7, tzinfo=UTC)


@dataclass
class Post(Carrier):
    """Writes what it is handed into a book that all carriers share.

    What it is told to do counts for messages to the public only, so that a play without its drills
    goes on in the same way.
    """

    book: list[Handed] = field(default_factory=list)
    now: Callable[[], datetime] = lambda: START

    async def send(self, message: Outgoing) -> Outcome:
        self.book.append(read(message, self.name, self.now()))
        return await super().send(message)

    def how(self, message: Outgoing) -> str:
        return super().how(message) if self.book[-1].klass is Klass.PUBLIC else "takes"


@dataclass(frozen=True)
class Done:
    """An act and what was answered: `ok`, `held`, or why it was refused.

    before, after: what the carriers had been handed, in number. waiting: sayings held
    then. within: it was done while a worker slept, and stands in that act.
    """

    act: Act
    at: datetime
    answer: str
    before: int
    after: int
    waiting: frozenset[int]
    within: bool = False

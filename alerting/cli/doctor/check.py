"""One check: bounded in time, never raising, with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import Any

from alerting.errors import AlertingError

#: How long one check may take; several run at once.
LIMIT_S = 15.0
#: How long its engine may take to answer, so that the check can name what did not answer.
ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        good: False when a part needed for sending fails.
        remedy: What to do about a failure; with a good result, advice.
    """

    name: str
    good: bool
    found: str
    remedy: str = ""

    @property
    def word(self) -> str:
        return "WRONG" if not self.good else "note" if self.remedy else "ok"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that works but needs attention."""

    found: str
    remedy: str


async def look(name: str, finding: Awaitable[str | Note]) -> Check:
    """Wait for the result of one check, or for its error."""
    try:
        async with asyncio.timeout(LIMIT_S):
            found = await finding
    except AlertingError as e:
        return Check(name, False, e.detail, e.remedy)
    except TimeoutError:
        return Check(name, False, f"no answer within {LIMIT_S:g} s", "Look at its own log.")
    except Exception as e:
        words = str(e).strip().splitlines() or [type(e).__name__]
        return Check(name, False, words[0], f"Check that {name} runs and its address is right.")
    if isinstance(found, Note):
        return Check(name, True, found.found, found.remedy)
    return Check(name, True, found)

"""One thing that is looked at: bounded in time, never raising, with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import Any

from alerting.errors import AlertingError

#: How long one look may take; several go on at once.
LIMIT_S = 15.0
#: How long whatever it asks may take to answer, so that it can say what did not.
ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """What was found. Where it is not good something that sends cannot, and `remedy` says what to
    do; a remedy of something good is advice."""

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
    """Something that works, and what to do about it all the same."""

    found: str
    remedy: str


async def look(name: str, finding: Awaitable[str | Note]) -> Check:
    """Wait for what one look finds, or for why it found nothing."""
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

"""Where every carrier stores what it accepts: first on disk, then on the phone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from alerting.embedded.carriers.faults import Desk
from alerting.embedded.carriers.identity import CARRIERS, Carrier
from alerting.embedded.carriers.journal import Journal, log_path
from alerting.embedded.carriers.phones import Phones
from alerting.embedded.carriers.received import Received


@dataclass(frozen=True, slots=True)
class Intake:
    """State shared by the three carriers."""

    journals: Mapping[Carrier, Journal]
    phones: Phones
    desk: Desk

    async def take(self, message: Received) -> None:
        """Return once the message is in the log; only then may its sender get a positive answer.

        Raises:
            OSError: When it could not be logged: the sender must get a negative answer.
        """
        await self.journals[message.channel].append(message.line())
        self.phones.show(message)


@asynccontextmanager
async def opened(var: Path) -> AsyncIterator[Intake]:
    """The logs open inside the block, and closed with everything written when it is left.

    Raises:
        BadInput: When a log cannot be written.
    """
    async with AsyncExitStack() as stack:
        journals = {}
        for carrier in CARRIERS:
            journal = journals[carrier] = Journal(log_path(var, carrier))
            stack.push_async_callback(journal.close)
            journal.open()
        yield Intake(journals, Phones(), Desk())

"""A carrier that fails as it is told to, and keeps the log by which everything is judged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from dispatch_harness import Recorder

from alerting.channels.base import (
    AMBIGUOUS,
    DEAD_ADDRESS,
    PROVIDER_DOWN,
    THROTTLED,
    CannotLookUp,
    Outcome,
    Outgoing,
)

#: What a carrier may do with a call, and whether it has the message then.
TAKES = {
    "takes": True,
    "takes, answer lost": True,
    "takes, worker dies": True,
    "takes, worker sleeps": True,
    "takes, alert is cancelled": True,
    "answer lost": False,
    "worker dies": False,
    "refuses": False,
    "slows": False,
    "knows no such address": False,
}


@dataclass(slots=True)
class Call:
    """One line of the log. fate: what the carrier has told of the message's arrival."""

    channel: str
    delivery_id: int
    endpoint: str
    how: str
    ref: str
    fate: str = ""

    @property
    def taken(self) -> bool:
        return TAKES[self.how]


@dataclass
class Carrier(Recorder):
    """Does with the next calls what `script` says, and takes everything after that.

    log: what was called, in order; carriers may share one. deaths: workers it ended or outslept.
    while_asleep: what others do while a worker is stopped in the middle of a call. at_cancel: how
    a coordinator cancels the alert of the delivery that is being called for.
    knows: can be asked what it took.
    """

    log: list[Call] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    while_asleep: Callable[[], Awaitable[None]] | None = None
    at_cancel: Callable[[int], Awaitable[None]] | None = None
    knows: bool = True
    deaths: int = 0

    async def send(self, message: Outgoing) -> Outcome:
        how = self.how(message)
        ref = f"{self.name}-{len(self.log)}"
        self.log.append(Call(self.name, message.delivery_id, message.endpoint, how, ref))
        id_ = message.delivery_id
        match how:
            case "takes":
                await asyncio.sleep(0)
                return Outcome(id_, provider_ref=ref)
            case "takes, worker sleeps":
                self.deaths += 1
                if self.while_asleep is not None:
                    await self.while_asleep()
                return Outcome(id_, provider_ref=ref)
            case "takes, alert is cancelled":
                if self.at_cancel is not None:
                    await self.at_cancel(id_)
                return Outcome(id_, provider_ref=ref)
            case "worker dies" | "takes, worker dies":
                self.deaths += 1
                raise asyncio.CancelledError
            case "refuses":
                return Outcome(id_, PROVIDER_DOWN)
            case "slows":
                return Outcome(id_, THROTTLED, retry_after_s=1)
            case "knows no such address":
                return Outcome(id_, DEAD_ADDRESS)
            case _:
                return Outcome(id_, AMBIGUOUS)

    def how(self, message: Outgoing) -> str:
        """What to do with this call."""
        return self.script.pop(0) if self.script else "takes"

    async def look_up(self, message: Outgoing, *, since: datetime) -> Outcome | None:
        if not self.knows:
            raise CannotLookUp
        for call in self.log:
            if call.delivery_id == message.delivery_id and call.taken:
                return Outcome(message.delivery_id, provider_ref=call.ref)
        return None

"""A maintenance duty: small transactions of one kind, by one process at a time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import Lane

#: A transaction that took longer is made smaller the next time, one much shorter is made larger.
#: Writes of workers wait for it, so one may take at most twice this.
_AIM_S = 0.1


@dataclass(frozen=True, slots=True)
class Done:
    """The result of one transaction of a duty.

    Attributes:
        more: There is work left.
        notify: Lanes with new chunks.
        busy: Deliveries whose chunks could not be marked for escalation because a worker was
            writing them; the duty's next transaction tries again. None when the duty marks nothing.
    """

    more: bool = False
    notify: Collection[Lane] = ()
    busy: Sequence[int] | None = None


#: Works in the given transaction, on at most this many rows.
Step = Callable[[AsyncConnection, int], Awaitable[Done]]


@dataclass(slots=True)
class Duty:
    """One kind of work and how much of it fits into a transaction.

    Attributes:
        no: Distinguishes its lock from those of other duties.
        size: Rows in the next transaction.
        most: Rows in any transaction.
        light: It yields to high-priority work.
    """

    name: str
    no: int
    step: Step
    size: int
    most: int
    light: bool = False

    async def run(self, connection: AsyncConnection) -> Done:
        """Do what fits into one transaction, and adapt the size to the time it took."""
        start = time.perf_counter()
        done = await self.step(connection, self.size)
        took_s = time.perf_counter() - start
        if took_s > _AIM_S:
            self.size = max(1, self.size // 2)
        elif took_s < _AIM_S / 4 and done.more:
            # Only a full one says how much fits: those with nothing to do are quick too.
            self.size = min(self.most, self.size * 2)
        return done

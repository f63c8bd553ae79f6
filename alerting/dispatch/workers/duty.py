"""A duty of house-keeping: small transactions of one kind, one process at a time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.lane import Lane

#: A transaction that took longer is made smaller the next time, one far below it larger. What
#: workers write waits for it meanwhile, so twice this is the most that one may take.
_AIM_S = 0.1


@dataclass(frozen=True, slots=True)
class Done:
    """What one transaction of a duty came to.

    more: there is work left. ring: lanes with new chunks. busy: deliveries whose chunks could not
    be marked for escalation because a worker was writing them; the duty's next transaction tries
    again. None where the duty marks nothing.
    """

    more: bool = False
    ring: Collection[Lane] = ()
    busy: Sequence[int] | None = None


#: Works in the transaction it is given, on at most so many rows.
Step = Callable[[AsyncConnection, int], Awaitable[Done]]


@dataclass(slots=True)
class Duty:
    """One kind of work and how much of it fits into a transaction.

    no: tells its lock from those of other duties. size: rows in the next transaction; most: in
    any. light: it stands aside for grave work.
    """

    name: str
    no: int
    step: Step
    size: int
    most: int
    light: bool = False

    async def run(self, connection: AsyncConnection) -> Done:
        """Do what fits into one transaction, and learn from the time that took."""
        start = time.perf_counter()
        done = await self.step(connection, self.size)
        self._adapt(time.perf_counter() - start)
        return done

    def _adapt(self, took_s: float) -> None:
        if took_s > _AIM_S:
            self.size = max(1, self.size // 2)
        elif took_s < _AIM_S / 4:
            self.size = min(self.most, self.size * 2)

"""Runs: hits are sorted over ever longer stretches, while the first are already passed on.

The directory is read by place, so neighbours in the street come together whose rows are far apart
in the register. In that order each citizen of a chunk costs a disk page of their own, for reading
their addresses and for everything written about them. Sorted by number they share pages, the more
the longer the run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from alerting.audience.gather import Hits

#: Hits sorted at once; as many are kept in memory twice, at 11 bytes each for most alerts.
LONGEST = 1 << 18


async def in_runs(
    stream: AsyncGenerator[Hits], *, batch: int, longest: int = LONGEST
) -> AsyncGenerator[Hits]:
    """Yield the same hits, at most `batch` at a time; each run of batches ascends by citizen.

    The first run is the stream's first part. With each batch passed on one part is read for the
    next run, so runs grow as far as parts are larger than batches, and the consumer never waits for
    more than one part. A run ends when it holds `longest` hits or more. Closes the stream.
    """
    async with aclosing(stream):
        ended = False
        waiting: list[Hits] = []
        count = 0
        run, start = None, 0
        while True:
            if not ended and count < longest:
                part = await anext(stream, None)
                if part is None:
                    ended = True
                else:
                    waiting.append(part)
                    count += len(part)
            if run is None or start >= len(run):
                if not waiting:
                    return
                run, start = _sorted(waiting), 0
                waiting, count = [], 0
            yield run.only(slice(start, start + batch))
            start += batch


def _sorted(parts: list[Hits]) -> Hits:
    if len(parts) == 1:
        return parts[0]
    citizen_ids = np.concatenate([p.citizen_ids for p in parts])
    order = np.argsort(citizen_ids)
    return Hits(
        citizen_ids[order],
        np.concatenate([p.zones for p in parts])[order],
        np.concatenate([p.places for p in parts])[order],
    )

"""Runs: hits put in order over ever longer stretches, while the first are already handed out.

The directory is walked by place, so neighbours in the street come together whose rows are far apart
in the register. Handed out like that, each citizen of a chunk costs a page of their own, in reading
their addresses and in all that is written about them. In order of their numbers they share pages,
the more the longer the run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from alerting.audience.gather import Hits

#: Hits put in order at once; so many are kept in memory twice, at 11 bytes each for most alerts.
LONGEST = 1 << 18


async def in_runs(
    stream: AsyncGenerator[Hits], *, batch: int, longest: int = LONGEST
) -> AsyncGenerator[Hits]:
    """The same hits, at most `batch` at a time; each run of batches ascends by citizen.

    The first run is the stream's first part. Beside each batch handed out one part is taken in for
    the next run, so that runs grow as far as parts are larger than batches, and whoever takes the
    batches is never kept waiting for more than a part. A run ends the first time it holds `longest`
    hits or more. Closes the stream.
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

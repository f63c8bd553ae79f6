"""Runs: sorts hits by citizen in runs of growing length, while the first are already used.

The directory is read by place, so neighbours come together although their rows are far apart in the
register. In that order each citizen of a chunk costs a disk page of their own, for reading their
addresses and for everything written about them. Sorted by id they share pages; the longer the run,
the more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from alerting.audience.gather import Hits

#: The most hits in a run. Two runs are kept in memory, at 11 bytes a hit for most alerts.
LONGEST = 1 << 18


async def in_runs(
    stream: AsyncGenerator[Hits], *, batch: int, longest: int = LONGEST
) -> AsyncGenerator[Hits]:
    """Yield the same hits, at most `batch` at a time; each run of batches ascends by citizen.

    The first run is the stream's first part. With each batch yielded, one part is read for the next
    run: runs grow while parts are larger than batches, and the consumer never waits for more than
    one part. Closes the stream.

    Args:
        longest: A run with at least this many hits is complete.
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

"""The planner in a process of its own, so that its memory is measured alone.

Run as `python -m lab.bench.audience.plan FILE` with the settings in the environment: submits the
alert, plans it as a worker would, and prints the seconds and megabytes as JSON. Nothing is sent.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import sys
import time
from pathlib import Path

import uvloop
from sqlalchemy import text

from alerting.bootstrap import Runtime
from alerting.dispatch.intake.submit import submit
from alerting.dispatch.plan import Planner
from alerting.domain.lane import Lane
from alerting.domain.principal import internal
from alerting.errors import WorkFailed
from alerting.settings import load_settings
from alerting.store.work import outbox, queues

_FIRST = "select exists (select from outbox where alert_id = :id and kind = 'deliver')"


def peak_mb() -> float:
    """The peak resident memory of this program.

    Not by getrusage, which includes the memory of the process that started it.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise WorkFailed("This system does not say what memory a process had at most.")


async def plan(data: bytes) -> dict[str, float]:
    """Seconds from the claim to the first chunk and to the last, the planner's own processor
    seconds, and memory before and at most."""
    settings = load_settings()
    async with Runtime.open(settings) as runtime:
        submitted = await submit(
            runtime.db, data, principal=internal("bench"), now=True, clock=runtime.clock,
            notifier=runtime.notifier,
        )  # fmt: skip
        planner = Planner(runtime.db, runtime.clock, runtime.notifier, settings)
        room = [(lane, outbox.PLAN, math.inf) for lane in Lane]
        claimed = await queues.claim(runtime.db, room, owner="bench", lease_s=settings.lease_s)
        if not claimed:
            raise WorkFailed("There is no plan to make.")
        (work,) = claimed
        before_mb, start, cpu_s = peak_mb(), time.perf_counter(), time.process_time()

        async def first() -> float:
            while True:
                async with runtime.db.begin() as connection:
                    if await connection.scalar(text(_FIRST), {"id": submitted.alert_id}):
                        return time.perf_counter() - start
                await asyncio.sleep(0.01)

        waiting = asyncio.create_task(first())
        await planner.run(work)
        all_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_s
        return {
            "first_s": await waiting,
            "all_s": all_s,
            "cpu_s": cpu_s,
            "before_mb": before_mb,
            "peak_mb": peak_mb(),
        }


def main() -> None:
    data = Path(sys.argv[1]).read_bytes()
    # As in a worker's child.
    gc.set_threshold(10_000)
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(plan(data))) + "\n")


if __name__ == "__main__":
    main()

"""Planners beside a harness, and faults between two of their batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dispatch_harness import DispatchHarness

from alerting.dispatch.plan import Planner
from alerting.store.work.outbox import Work


def planner_of(
    harness: DispatchHarness, before_batch: Callable[[int], Awaitable[None]] | None = None
) -> Planner:
    """A planner of the harness's database, on its clock.

    before_batch: awaited before each batch is written, with its number from 1; what it raises ends
    the planner, as a kill would.
    """
    batches = 0

    async def count(_: Work) -> None:
        nonlocal batches
        batches += 1
        if before_batch is not None:
            await before_batch(batches)

    return Planner(
        harness.db,
        harness.clock,
        harness.notifier,
        harness.settings,
        wait_for_higher_priority=count,
    )

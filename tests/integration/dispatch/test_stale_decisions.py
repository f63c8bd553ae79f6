"""What was decided before a long wait for the channel is decided again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import func, select

from alerting.dispatch.chunks import send
from alerting.dispatch.chunks.locks import Turn
from alerting.dispatch.evaluation.chunk_evaluator import ChunkEvaluator
from alerting.store.ledger.deliveries import OpenDelivery
from alerting.store.schema import delivery


@pytest.mark.parametrize(("waited_s", "again"), [(1.0, False), (31.0, True)])
async def test_chunk_is_evaluated_again_after_a_long_wait(
    harness: DispatchHarness,
    alert_xml: bytes,
    monkeypatch: pytest.MonkeyPatch,
    waited_s: float,
    again: bool,
) -> None:
    await harness.submit(alert_xml)
    evaluated: Counter[int] = Counter()
    waits = 0
    evaluate = ChunkEvaluator.of

    async def counted(
        self: ChunkEvaluator, stored: Any, pending: Sequence[OpenDelivery], **how: Any
    ) -> Any:
        evaluated.update(d.id for d in pending)
        return await evaluate(self, stored, pending, **how)

    async def others_send(_: Turn) -> None:
        nonlocal waits
        waits += 1

    monkeypatch.setattr(ChunkEvaluator, "of", counted)
    # After its first window every chunk lets others go first, once.
    monkeypatch.setattr(Turn, "is_wanted", lambda _: waits == 0)
    monkeypatch.setattr(Turn, "pass_on", others_send)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + waited_s * waits)
    monkeypatch.setattr(send, "time", clock)
    await harness.worker().sweep_in_order()
    assert waits == 1
    assert (max(evaluated.values()) > 1) is again
    # What is left of a chunk that made way is not put off as after a failure.
    async with harness.db.begin() as c:
        planned = await c.scalar(select(func.count()).select_from(delivery))
    assert len({m.delivery_id for m in harness.sent}) == len(harness.sent) == planned

"""Lower priority yields to higher, in this process and in others, and never for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from dispatch_harness import DispatchHarness
from planners import planner_of
from sqlalchemy import func, select, text, update

from alerting.cap import read, to_xml
from alerting.channels.base import Outcome, Outgoing
from alerting.dispatch.workers.precedence import PRECEDENCE_S
from alerting.domain.alert import Category, Severity
from alerting.domain.lane import Lane
from alerting.store.schema import outbox
from alerting.store.work import queues
from alerting.store.work.outbox import Work

EVERY = tuple(Lane)


def alert_of(data: bytes, severity: Severity, event: str) -> bytes:
    """An alert of its own event for all citizens."""
    alert = read(data).alerts[0]
    infos = tuple(
        replace(i, severity=severity, event=event, headline=event, categories=(Category.SAFETY,))
        for i in alert.infos
    )
    return to_xml(replace(alert, identifier=event.replace(" ", "-"), infos=infos))


async def of(harness: DispatchHarness, lane: Lane, kind: str, *, state: str = "") -> list[int]:
    async with harness.db.begin() as connection:
        query = select(outbox.c.id).where(outbox.c.lane == lane.value, outbox.c.kind == kind)
        query = query.where(outbox.c.state == state) if state else query
        return list((await connection.execute(query.order_by(outbox.c.id))).scalars())


async def planned(harness: DispatchHarness, data: bytes, lane: Lane) -> None:
    """Submit an alert and plan it, and nothing more."""
    await harness.submit(data)
    await planner_of(harness).run(await harness.claim("planner", lane=lane))


def lanes_in_order(harness: DispatchHarness) -> list[Lane]:
    """The lanes as they were sent by SMS, each run of one named once."""
    sent = [m.lane for m in harness.channels["sms"].sent]
    return [sent[0], *(b for a, b in pairwise(sent) if a is not b)] if sent else []


@pytest.fixture
def severe(alert_xml: bytes) -> bytes:
    return alert_of(alert_xml, Severity.SEVERE, "Bridge closed")


@pytest.fixture
def extreme(alert_xml: bytes) -> bytes:
    return alert_of(alert_xml, Severity.EXTREME, "Chlorine leak")


async def test_worker_for_both_lanes_sends_more_severe_first(
    harness: DispatchHarness, severe: bytes, extreme: bytes
) -> None:
    await planned(harness, severe, Lane.SEVERE)
    await harness.submit(extreme)
    await harness.worker().sweep()
    assert lanes_in_order(harness) == [Lane.EXTREME, Lane.SEVERE]


async def test_worker_for_lower_lane_claims_nothing_before_higher(
    harness: DispatchHarness, severe: bytes, extreme: bytes
) -> None:
    await planned(harness, severe, Lane.SEVERE)
    await harness.submit(extreme)
    light = harness.worker(Lane.SEVERE)
    assert not await light.fill()
    await harness.worker(Lane.EXTREME).sweep()
    light._precedence._looked_at = float("-inf")
    await light.sweep()
    assert lanes_in_order(harness) == [Lane.EXTREME, Lane.SEVERE]


async def test_chunk_is_released_between_windows_for_higher_lane(
    harness: DispatchHarness, severe: bytes, extreme: bytes
) -> None:
    harness.settings = harness.settings.model_copy(update={"window": 2})
    await planned(harness, severe, Lane.SEVERE)
    light, sms = harness.worker(Lane.SEVERE), harness.channels["sms"]

    async def submit_at_the_third(message: Outgoing) -> Outcome:
        sms.sent.append(message)
        if len(sms.sent) == 3:
            await harness.submit(extreme)
            light._precedence._looked_at = float("-inf")
            await light._precedence.look()
        return Outcome(message.delivery_id, provider_ref="ok")

    sms.send = submit_at_the_third  # type: ignore[method-assign]
    await light.fill()
    await light.finish()
    count = len(sms.sent)
    # What of other chunks was under way is ended; nothing new is begun.
    assert count < 10
    assert not await light.fill()
    await harness.worker(Lane.EXTREME).sweep()
    assert {m.lane for m in sms.sent[count:]} == {Lane.EXTREME}


async def test_planner_yields_between_two_batches(
    harness: DispatchHarness, severe: bytes, extreme: bytes
) -> None:
    await harness.submit(severe)
    chunks_then: list[int] = []
    submitted = False

    async def at_each_batch(work: Work) -> None:
        nonlocal submitted, chunks_then
        if not submitted and await of(harness, Lane.SEVERE, "deliver"):
            submitted = True
            await harness.submit(extreme)
            chunks_then = await of(harness, Lane.SEVERE, "deliver")
            worker._precedence._looked_at = float("-inf")
            waiting = asyncio.create_task(worker._precedence.make_room(work))
            await harness.worker(Lane.EXTREME).sweep()
            assert await of(harness, Lane.SEVERE, "deliver") == chunks_then
            await waiting

    worker = harness.worker(Lane.SEVERE, before_batch=at_each_batch)
    await worker._planner.run(await harness.claim("planner"))
    assert submitted
    assert len(await of(harness, Lane.SEVERE, "deliver")) > len(chunks_then)


async def test_stalled_higher_lane_blocks_only_briefly(
    harness: DispatchHarness, severe: bytes, extreme: bytes
) -> None:
    harness.settings = harness.settings.model_copy(update={"lease_s": 1.5})
    await planned(harness, severe, Lane.SEVERE)
    await harness.submit(extreme)
    # Somebody has it, lives, and gets nowhere.
    await harness.claim("someone", lease_s=600, lane=Lane.EXTREME)
    light = harness.worker(Lane.SEVERE)
    async with asyncio.timeout(60):
        while not harness.channels["sms"].sent:
            await light.fill()
            await light.finish()
            await asyncio.sleep(0.05)
    assert lanes_in_order(harness) == [Lane.SEVERE]


async def test_cancel_of_severe_alert_never_yields(
    harness: DispatchHarness, severe: bytes, extreme: bytes
) -> None:
    notified = await harness.submit(severe)
    await harness.worker().sweep()
    count = len(harness.sent)
    await harness.submit(extreme)
    await harness.claim("someone", lease_s=600, lane=Lane.EXTREME)
    await harness.submit(await harness.cancel_of(notified.alert_id))
    light = harness.worker(Lane.SEVERE)
    await light.sweep()
    assert len(harness.sent) == 2 * count
    assert not await light.fill()


async def test_cancel_of_severe_alert_runs_beside_extreme_chunks(
    harness: DispatchHarness, severe: bytes, extreme: bytes
) -> None:
    notified = await harness.submit(severe)
    await harness.worker().sweep()
    harness.settings = harness.settings.model_copy(update={"chunk_size": 8})
    await planned(harness, extreme, Lane.EXTREME)
    may_answer = asyncio.Event()

    async def hang(message: Outgoing) -> Outcome:
        await may_answer.wait()
        return Outcome(message.delivery_id, provider_ref="ok")

    for channel in harness.channels.values():
        channel.send = hang  # type: ignore[method-assign]
    worker = harness.worker()
    await worker.fill()
    await harness.submit(await harness.cancel_of(notified.alert_id))
    (plan,) = await of(harness, Lane.SEVERE, "plan", state="ready")
    await harness.work_on(plan)
    await worker.fill()
    held = [(w.lane, w.first) for w in worker._held() if w.channel == "sms"]
    assert held.count((Lane.EXTREME, False)) == 2
    assert held.count((Lane.SEVERE, True)) == 1
    may_answer.set()
    await worker.finish()


@pytest.mark.parametrize(
    ("change", "young"),
    [
        ({}, True),
        ({"state": "leased"}, True),
        ({"state": "done"}, False),
        ({"not_before": text("now() + interval '1 minute'")}, False),
        ({"created_at": text(f"now() - interval '{PRECEDENCE_S + 1} seconds'")}, False),
    ],
)
async def test_worker_yields_only_to_young_due_work(
    harness: DispatchHarness, extreme: bytes, change: dict[str, object], young: bool
) -> None:
    await harness.submit(extreme)
    async with harness.db.begin() as connection:
        if change:
            await connection.execute(update(outbox).values(**change))
        assert await connection.scalar(select(func.count()).select_from(outbox)) == 1
    found = await queues.young(harness.db, EVERY, age_s=PRECEDENCE_S)
    assert found == ({Lane.EXTREME} if young else set())
    assert await queues.young(harness.db, [Lane.SEVERE], age_s=PRECEDENCE_S) == set()

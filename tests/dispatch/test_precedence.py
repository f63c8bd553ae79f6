"""Light work stands aside for graver work, in this process and in others, and never for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import func, select, text, update
from town import Town

from alerting.cap import read, to_xml
from alerting.channels.base import Outcome, Outgoing
from alerting.dispatch.workers.precedence import GIVE_WAY_S
from alerting.domain.alert import Category, Severity
from alerting.domain.lane import Lane
from alerting.store import queues
from alerting.store.outbox import Work
from alerting.store.schema import outbox

EVERY = tuple(Lane)


def alert_of(data: bytes, severity: Severity, event: str) -> bytes:
    """An alert of its own event for the whole town."""
    alert = read(data).alerts[0]
    infos = tuple(
        replace(i, severity=severity, event=event, headline=event, categories=(Category.SAFETY,))
        for i in alert.infos
    )
    return to_xml(replace(alert, identifier=event.replace(" ", "-"), infos=infos))


async def of(town: Town, lane: Lane, kind: str, *, state: str = "") -> list[int]:
    async with town.db.begin() as connection:
        query = select(outbox.c.id).where(outbox.c.lane == lane.value, outbox.c.kind == kind)
        query = query.where(outbox.c.state == state) if state else query
        return list((await connection.execute(query.order_by(outbox.c.id))).scalars())


async def planned(town: Town, data: bytes, lane: Lane) -> None:
    """Submit an alert and plan it, and nothing more."""
    await town.submit(data)
    await town.worker()._planner.run(await town.claim("planner", lane=lane))


def lanes_in_order(town: Town) -> list[Lane]:
    """The lanes as they were sent by SMS, each run of one named once."""
    sent = [m.lane for m in town.channels["sms"].sent]
    return [sent[0], *(b for a, b in pairwise(sent) if a is not b)] if sent else []


@pytest.fixture
def severe(alert_xml: bytes) -> bytes:
    return alert_of(alert_xml, Severity.SEVERE, "Bridge closed")


@pytest.fixture
def extreme(alert_xml: bytes) -> bytes:
    return alert_of(alert_xml, Severity.EXTREME, "Chlorine leak")


async def test_worker_for_both_lanes_sends_the_graver_first(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    await planned(town, severe, Lane.SEVERE)
    await town.submit(extreme)
    await town.worker().sweep()
    assert lanes_in_order(town) == [Lane.EXTREME, Lane.SEVERE]


async def test_worker_for_the_lighter_lane_claims_nothing_until_another_has_done_the_graver(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    await planned(town, severe, Lane.SEVERE)
    await town.submit(extreme)
    light = town.worker(Lane.SEVERE)
    assert not await light.fill()
    await town.worker(Lane.EXTREME).sweep()
    light._precedence._looked_at = float("-inf")
    await light.sweep()
    assert lanes_in_order(town) == [Lane.EXTREME, Lane.SEVERE]


async def test_chunk_is_given_back_between_two_windows_for_graver_work_elsewhere(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    town.settings = town.settings.model_copy(update={"window": 2})
    await planned(town, severe, Lane.SEVERE)
    light, sms = town.worker(Lane.SEVERE), town.channels["sms"]

    async def submit_at_the_third(message: Outgoing) -> Outcome:
        sms.sent.append(message)
        if len(sms.sent) == 3:
            await town.submit(extreme)
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
    await town.worker(Lane.EXTREME).sweep()
    assert {m.lane for m in sms.sent[count:]} == {Lane.EXTREME}


async def test_plan_waits_between_two_batches(town: Town, severe: bytes, extreme: bytes) -> None:
    await town.submit(severe)
    chunks_then: list[int] = []
    submitted = False

    async def at_each_batch(work: Work) -> None:
        nonlocal submitted, chunks_then
        if not submitted and await of(town, Lane.SEVERE, "deliver"):
            submitted = True
            await town.submit(extreme)
            chunks_then = await of(town, Lane.SEVERE, "deliver")
            worker._precedence._looked_at = float("-inf")
            waiting = asyncio.create_task(worker._precedence.make_room(work))
            await town.worker(Lane.EXTREME).sweep()
            assert await of(town, Lane.SEVERE, "deliver") == chunks_then
            await waiting
        else:
            await worker._precedence.make_room(work)

    worker = town.worker(Lane.SEVERE, give_way=at_each_batch)
    await worker._planner.run(await town.claim("planner"))
    assert submitted
    assert len(await of(town, Lane.SEVERE, "deliver")) > len(chunks_then)


async def test_graver_work_that_stands_still_holds_nothing_up_for_long(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    town.settings = town.settings.model_copy(update={"lease_s": 1.5})
    await planned(town, severe, Lane.SEVERE)
    await town.submit(extreme)
    # Somebody has it, lives, and gets nowhere.
    await town.claim("someone", lease_s=600, lane=Lane.EXTREME)
    light = town.worker(Lane.SEVERE)
    async with asyncio.timeout(60):
        while not town.channels["sms"].sent:
            await light.fill()
            await light.finish()
            await asyncio.sleep(0.05)
    assert lanes_in_order(town) == [Lane.SEVERE]


async def test_cancel_of_a_grave_alert_stands_aside_for_nothing(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    told = await town.submit(severe)
    await town.worker().sweep()
    count = len(town.sent)
    await town.submit(extreme)
    await town.claim("someone", lease_s=600, lane=Lane.EXTREME)
    await town.submit(await town.cancel_of(told.alert_id))
    light = town.worker(Lane.SEVERE)
    await light.sweep()
    assert len(town.sent) == 2 * count
    assert not await light.fill()


async def test_cancel_of_a_grave_alert_has_room_beside_the_chunks_of_an_extreme(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    told = await town.submit(severe)
    await town.worker().sweep()
    town.settings = town.settings.model_copy(update={"chunk_size": 8})
    await planned(town, extreme, Lane.EXTREME)
    may_answer = asyncio.Event()

    async def hang(message: Outgoing) -> Outcome:
        await may_answer.wait()
        return Outcome(message.delivery_id, provider_ref="ok")

    for channel in town.channels.values():
        channel.send = hang  # type: ignore[method-assign]
    worker = town.worker()
    await worker.fill()
    await town.submit(await town.cancel_of(told.alert_id))
    (plan,) = await of(town, Lane.SEVERE, "plan", state="ready")
    await town.work_on(plan)
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
        ({"created_at": text(f"now() - interval '{GIVE_WAY_S + 1} seconds'")}, False),
    ],
)
async def test_only_young_work_that_is_due_is_given_way_to(
    town: Town, extreme: bytes, change: dict[str, object], young: bool
) -> None:
    await town.submit(extreme)
    async with town.db.begin() as connection:
        if change:
            await connection.execute(update(outbox).values(**change))
        assert await connection.scalar(select(func.count()).select_from(outbox)) == 1
    found = await queues.young(town.db, EVERY, age_s=GIVE_WAY_S)
    assert found == ({Lane.EXTREME} if young else set())
    assert await queues.young(town.db, [Lane.SEVERE], age_s=GIVE_WAY_S) == set()

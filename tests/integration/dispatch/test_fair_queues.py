"""Alerts of one lane share its queues: ends first, small alerts soon, every tenant by turns."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from uuid import UUID

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import update

from alerting.cap import read, to_xml
from alerting.dispatch.chunks import locks
from alerting.domain.alert import Category, Severity
from alerting.domain.lane import Lane
from alerting.domain.principal import internal
from alerting.store.schema import outbox
from alerting.store.work import claims, queues
from alerting.store.work import outbox as store
from alerting.store.work.outbox import PLAN, Ranks, Work

SMS = (Lane.SEVERE, "sms", math.inf)


def one_of(data: bytes, name: str, severity: Severity = Severity.SEVERE) -> bytes:
    """An alert of its own event for all citizens."""
    alert = read(data).alerts[0]
    infos = tuple(
        replace(i, severity=severity, event=name, headline=name, categories=(Category.SAFETY,))
        for i in alert.infos
    )
    return to_xml(replace(alert, identifier=name.replace(" ", "-"), infos=infos))


async def submitted(harness: DispatchHarness, data: bytes, name: str, *, by: str = "test") -> UUID:
    found = await harness.submit(one_of(data, name), principal=internal(by))
    return found.alert_id


async def chunks(
    harness: DispatchHarness, alert_id: UUID, count: int, ranks: Ranks | None = None
) -> None:
    async with harness.db.begin() as c:
        sizes = [("sms", 1)] * count
        await store.add_chunks(c, alert_id, Lane.SEVERE, sizes, ranks=ranks or Ranks())


async def claimed(harness: DispatchHarness, count: int) -> list[Work]:
    """So many rows of the queue of SMS, in the order workers get them; at each time two of them
    are in hand."""
    found: list[Work] = []
    for _ in range(count):
        found += await queues.claim(harness.db, [SMS], owner="test", lease_s=60)
        for work in found[-3:-2]:
            async with harness.db.begin() as c:
                await claims.finish(c, work)
    return found


def runs(works: list[Work], names: dict[UUID, str]) -> list[tuple[str, int]]:
    return [(n, len(list(g))) for n, g in groupby(works, key=lambda w: names[w.alert_id])]


async def test_small_alert_finishes_beside_large_one(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    large = await submitted(harness, alert_xml, "Dam broke")
    small = await submitted(harness, alert_xml, "Bridge closed")
    await chunks(harness, large, 200)
    await claimed(harness, 20)
    await chunks(harness, small, 10)
    order = [w.alert_id for w in await claimed(harness, 40)]
    assert order.count(small) == 10
    last = max(n for n, alert_id in enumerate(order) if alert_id == small)
    assert last < 20
    # The large one goes on beside it.
    assert large in order[: last + 1]


async def test_large_alert_progresses_beside_new_small_ones(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    large = await submitted(harness, alert_xml, "Dam broke")
    await chunks(harness, large, 30)
    for work in (await claimed(harness, 5))[-2:]:
        async with harness.db.begin() as c:
            await claims.finish(c, work)
    small = await submitted(harness, alert_xml, "Bridge closed")
    got: list[Work] = []
    for _ in range(100):
        await chunks(harness, small, 1)
        got += await claimed(harness, 1)
        for work in got[-3:-2]:
            async with harness.db.begin() as c:
                await claims.finish(c, work)
    assert [w.alert_id for w in got].count(large) >= 5


async def test_fully_claimed_alert_alternates_with_new_one(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    large = await submitted(harness, alert_xml, "Dam broke")
    ranks = Ranks()
    await chunks(harness, large, 50, ranks)
    await claimed(harness, 50)
    new = await submitted(harness, alert_xml, "Bridge closed")
    await chunks(harness, new, 50)
    await chunks(harness, large, 5, ranks)
    assert [w.alert_id for w in await claimed(harness, 40)].count(large) >= 3


async def test_every_alert_begins_before_any_ends(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    ids = [await submitted(harness, alert_xml, f"Event {n}") for n in range(8)]
    for alert_id in ids:
        await chunks(harness, alert_id, 5)
    assert {w.alert_id for w in await claimed(harness, 16)} == set(ids)


async def test_tenant_with_many_alerts_does_not_block_another(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    many = [await submitted(harness, alert_xml, f"Event {n}", by="busy") for n in range(6)]
    one = await submitted(harness, alert_xml, "Bridge closed", by="quiet")
    plans = [(Lane.SEVERE, PLAN, math.inf)]
    order = [
        w.alert_id
        for _ in range(3)
        for w in await queues.claim(harness.db, plans, owner="test", lease_s=60)
    ]
    assert order.index(one) <= 1
    for others, alert_id in enumerate(many):
        await chunks(harness, alert_id, 2, Ranks(others=others))
    await chunks(harness, one, 2)
    order = [w.alert_id for w in await claimed(harness, 14)]
    assert order.index(one) <= 1
    assert set(order) == {*many, one}


async def test_plan_far_ahead_yields_to_smaller_queue(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    large = await submitted(harness, alert_xml, "Dam broke")
    plan = await harness.claim("planner")
    assert plan.alert_id == large
    await chunks(harness, large, 20)
    assert not await queues.smaller_waits(harness.db, plan, enough=20)
    small = await submitted(harness, alert_xml, "Bridge closed")
    assert await queues.smaller_waits(harness.db, plan, enough=20)
    assert not await queues.smaller_waits(harness.db, plan, enough=21)
    smaller = await harness.claim("planner")
    assert smaller.alert_id == small
    assert await queues.smaller_waits(harness.db, plan, enough=20)
    # Never both of them.
    assert not await queues.smaller_waits(harness.db, smaller, enough=0)
    async with harness.db.begin() as c:
        await c.execute(update(outbox).where(outbox.c.alert_id == small).values(state="done"))
    assert not await queues.smaller_waits(harness.db, plan, enough=20)


async def test_end_of_alert_precedes_its_lane(harness: DispatchHarness, alert_xml: bytes) -> None:
    large = await submitted(harness, alert_xml, "Dam broke")
    await chunks(harness, large, 20)
    end = await submitted(harness, alert_xml, "Bridge closed")
    await chunks(harness, end, 3, Ranks(first=True))
    got = await claimed(harness, 5)
    assert [(w.alert_id, w.first) for w in got] == [(end, True)] * 3 + [(large, False)] * 2


async def test_delayed_row_joins_near_the_front_when_due(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    large = await submitted(harness, alert_xml, "Dam broke")
    await chunks(harness, large, 20)
    (first,) = await claimed(harness, 1)
    async with harness.db.begin() as c:
        await claims.release(c, first, delay_s=60, cursor=0)
    assert first.id not in {w.id for w in await claimed(harness, 5)}
    async with harness.db.begin() as c:
        await c.execute(update(outbox).where(outbox.c.id == first.id).values(not_before=long_ago()))
    assert first.id in {w.id for w in await claimed(harness, 3)}


def long_ago() -> object:
    from sqlalchemy import text

    return text("now() - interval '1 second'")


async def test_rows_without_rank_are_claimed(harness: DispatchHarness, alert_xml: bytes) -> None:
    await submitted(harness, alert_xml, "Dam broke")
    async with harness.db.begin() as c:
        await c.execute(update(outbox).values(rank=None))
    assert await queues.claim(harness.db, [(Lane.SEVERE, PLAN, math.inf)], owner="test", lease_s=60)


@pytest.mark.parametrize("pace", [0, 2])
async def test_alert_begins_while_another_takes_long(
    harness: DispatchHarness, alert_xml: bytes, pace: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two alerts of one lane waits for no more than a slice of the other's."""
    harness.settings = harness.settings.model_copy(update={"chunk_size": 40, "window": 2 + pace})
    large = await submitted(harness, alert_xml, "Dam broke")
    worker = harness.worker()
    await worker.fill()
    await worker.finish()
    await worker.fill()
    sms = harness.channels["sms"]
    while len(sms.sent) < 2:
        await asyncio_tick()
    await submitted(harness, alert_xml, "Bridge closed")
    # A slice is over at once.
    monkeypatch.setattr(locks, "SLICE_S", 0.0)
    await worker.sweep()
    order = [m.thread for m in sms.sent]
    firsts = {thread: order.index(thread) for thread in dict.fromkeys(order)}
    assert len(firsts) == 2
    later = max(firsts.values())
    assert later < len(order) / 2
    assert large


async def asyncio_tick() -> None:
    import asyncio

    await asyncio.sleep(0.001)


def test_rank_step_grows_with_queue_of_alert() -> None:
    ranks = Ranks(others=3)
    steps = []
    for n in range(4):
        last, step = ranks.step(Lane.SEVERE, "sms")
        ranks.queued(Lane.SEVERE, "sms", last + step)
        steps.append(step)
        assert n == 0 or last > 0
    assert steps[0] == 4
    assert steps[1:] == sorted(steps[1:])
    assert ranks.step(Lane.SEVERE, "push") == (0.0, 4.0)

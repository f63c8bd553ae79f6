"""Light work stands aside for graver work, in this process and in others, and never for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import func, select, text, update
from town import Town

from alerting.cap import read, to_xml
from alerting.dispatch.chunks.turns import Turns
from alerting.dispatch.workers.precedence import GIVE_WAY_S
from alerting.domain.alert import Category, Severity
from alerting.domain.lane import Lane
from alerting.store import outbox as store
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


async def of(town: Town, lane: Lane, kind: str) -> list[int]:
    async with town.db.begin() as connection:
        query = select(outbox.c.id).where(outbox.c.lane == lane.value, outbox.c.kind == kind)
        return list((await connection.execute(query.order_by(outbox.c.id))).scalars())


async def planned(town: Town, data: bytes, lane: Lane) -> int:
    """Submit an alert and plan it, and nothing more; a chunk of its SMS."""
    await town.submit(data)
    (plan,) = await of(town, lane, "plan")
    assert await town.worker().handle(plan)
    async with town.db.begin() as connection:
        query = select(outbox.c.id).where(outbox.c.lane == lane.value, outbox.c.channel == "sms")
        return int((await connection.execute(query)).scalars().first() or 0)


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


async def test_a_worker_for_both_does_the_graver_first_though_called_for_the_lighter(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    chunk = await planned(town, severe, Lane.SEVERE)
    await town.submit(extreme)
    await town.worker().handle(chunk)
    assert lanes_in_order(town) == [Lane.EXTREME, Lane.SEVERE]


async def test_a_worker_for_the_lighter_waits_until_another_has_done_the_graver(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    chunk = await planned(town, severe, Lane.SEVERE)
    await town.submit(extreme)
    await asyncio.gather(town.worker(Lane.SEVERE).handle(chunk), town.worker(Lane.EXTREME).sweep())
    assert lanes_in_order(town) == [Lane.EXTREME, Lane.SEVERE]


async def test_a_plan_waits_between_two_batches(town: Town, severe: bytes, extreme: bytes) -> None:
    await town.submit(severe)
    (plan,) = await of(town, Lane.SEVERE, "plan")
    worker = town.worker(Lane.SEVERE)
    chunks_then: list[int] = []
    submitted = False

    async def at_each_batch(lane: Lane) -> None:
        nonlocal submitted, chunks_then
        if not submitted and await of(town, Lane.SEVERE, "deliver"):
            submitted = True
            await town.submit(extreme)
            chunks_then = await of(town, Lane.SEVERE, "deliver")
            waiting = asyncio.create_task(give_way(lane))
            await town.worker(Lane.EXTREME).sweep()
            assert await of(town, Lane.SEVERE, "deliver") == chunks_then
            await waiting
        else:
            await give_way(lane)

    give_way = worker._precedence.give_way
    worker._planner.give_way = at_each_batch
    await worker.handle(plan)
    assert submitted
    assert len(await of(town, Lane.SEVERE, "deliver")) > len(chunks_then)


async def test_a_chunk_passes_its_turn_on_between_two_windows_for_work_elsewhere() -> None:
    turns = Turns(8)
    said: list[str] = []

    class Elsewhere:
        def wanted(self, lane: Lane) -> bool:
            return lane is not Lane.EXTREME

        async def give_way(self, lane: Lane) -> None:
            # Its places are free meanwhile.
            async with turns.turn(Lane.EXTREME, 8):
                said.append(f"gave way as {lane}")

    turns.elsewhere = Elsewhere()
    async with turns.turn(Lane.ROUTINE, 8) as turn:
        assert turn.wanted
        await turn.pass_on()
    async with turns.turn(Lane.EXTREME, 8) as turn:
        assert not turn.wanted
    assert said == ["gave way as routine"]


async def test_graver_work_that_stands_still_holds_nothing_up_for_long(
    town: Town, severe: bytes, extreme: bytes
) -> None:
    town.settings = town.settings.model_copy(update={"lease_s": 1.5})
    chunk = await planned(town, severe, Lane.SEVERE)
    await town.submit(extreme)
    (plan,) = await of(town, Lane.EXTREME, "plan")
    async with town.db.begin() as connection:
        # Somebody has it, lives, and gets nowhere.
        assert await store.claim(connection, plan, owner="someone", lease_s=600)
    async with asyncio.timeout(60):
        await town.worker(Lane.SEVERE).handle(chunk)
    assert lanes_in_order(town) == [Lane.SEVERE]


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
    found = await store.young(town.db, EVERY, age_s=GIVE_WAY_S)
    assert found == ({Lane.EXTREME} if young else set())
    assert await store.young(town.db, [Lane.SEVERE], age_s=GIVE_WAY_S) == set()

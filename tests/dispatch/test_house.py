"""House-keeping is many small duties: one that fails stops no other, and each is done by one
process at a time."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from town import Town

from alerting.dispatch.workers.duty import Done, Duty
from alerting.dispatch.workers.sweep import LOCK
from alerting.store.schema import alert


async def _ill(connection: AsyncConnection, limit: int) -> Done:
    await connection.execute(text("select 1 / 0"))
    return Done()


async def _states(town: Town) -> list[str]:
    async with town.db.begin() as c:
        return list(await c.scalars(select(alert.c.state)))


async def _run_out(town: Town, alert_xml: bytes) -> None:
    """An alert whose time is over."""
    await town.submit(alert_xml)
    async with town.db.begin() as c:
        await c.execute(text("update alert set expires_at = now() - interval '1 minute'"))
    town.clock.advance(60)


async def until_expired(town: Town) -> None:
    async with asyncio.timeout(30):
        while await _states(town) != ["expired"]:  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ill", ["receipts", "digests", "call-back"])
async def test_a_duty_that_fails_stops_no_other(town: Town, alert_xml: bytes, ill: str) -> None:
    await _run_out(town, alert_xml)
    house = town.house()
    house.duties[ill].step = _ill
    async with house.kept():
        await until_expired(town)


async def test_a_round_in_which_a_duty_fails_says_so_at_its_end(
    town: Town, alert_xml: bytes
) -> None:
    await _run_out(town, alert_xml)
    house = town.house()
    house.duties["receipts"].step = _ill
    with pytest.raises(Exception, match="division by zero"):
        await house.keep()
    assert await _states(town) == ["expired"]


async def test_each_duty_is_one_process_at_a_time(town: Town, alert_xml: bytes) -> None:
    await _run_out(town, alert_xml)
    house = town.house()
    async with town.db.begin() as other:
        await other.execute(select(func.pg_advisory_xact_lock(LOCK, house.duties["expire"].no)))
        assert not await house.keep()
        assert await _states(town) == ["accepted"]
    assert await house.keep()
    assert await _states(town) == ["expired"]


async def test_a_house_of_the_version_before_is_let_finish(town: Town, alert_xml: bytes) -> None:
    await _run_out(town, alert_xml)
    async with town.db.begin() as before:
        assert await before.scalar(select(func.pg_try_advisory_xact_lock(LOCK)))
        assert not await town.house().keep()
    assert await town.house().keep()


async def test_a_round_has_no_more_rows_than_its_duty_takes(town: Town, alert_xml: bytes) -> None:
    for n in range(5):
        await town.submit(alert_xml.replace(b"example-flood", f"flood-{n}".encode()))
    async with town.db.begin() as c:
        await c.execute(text("update alert set expires_at = now() - interval '1 minute'"))
    town.clock.advance(60)
    house = town.house()
    duty = house.duties["expire"]
    duty.size = duty.most = 2
    counts = []
    step = duty.step

    async def counted(connection: AsyncConnection, limit: int) -> Done:
        done = await step(connection, limit)
        counts.append(
            await connection.scalar(select(func.count()).where(alert.c.state == "expired"))
        )
        return done

    duty.step = counted
    await house.keep()
    assert counts == [2, 4, 5]


async def test_a_slow_transaction_is_made_smaller_and_a_quick_one_larger(town: Town) -> None:
    async def slow(connection: AsyncConnection, limit: int) -> Done:
        await connection.execute(text("select pg_sleep(0.15)"))
        return Done()

    async def quick(connection: AsyncConnection, limit: int) -> Done:
        return Done()

    duty = Duty("any", 99, slow, size=64, most=100)
    async with town.db.begin() as c:
        await duty.run(c)
        assert duty.size == 32
        duty.step = quick
        await duty.run(c)
        await duty.run(c)
    assert duty.size == 100


async def test_routine_work_stands_aside_and_nothing_else_does(
    town: Town, alert_xml: bytes
) -> None:
    await _run_out(town, alert_xml)
    asked = asyncio.Event()

    async def for_ever() -> None:
        asked.set()
        await asyncio.Event().wait()

    house = town.house()
    house.give_way = for_ever
    async with house.kept():
        await asked.wait()
        await until_expired(town)

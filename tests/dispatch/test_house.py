"""House-keeping is many small duties: one that fails stops no other, and each is done by one
process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from town import Town

from alerting.cap import to_xml
from alerting.dispatch.intake.cancel import call_back_all
from alerting.dispatch.workers.duty import Done, Duty
from alerting.dispatch.workers.sweep import House
from alerting.domain.alert import Alert, Severity, Urgency
from alerting.store import alerts, digests
from alerting.store.duties import LOCK
from alerting.store.escalations import AT_ONCE
from alerting.store.schema import CHUNK_SPAN, alert, delivery, digest_item, outbox


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
    async with asyncio.timeout(60):
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

    house = town.house(give_way=for_ever)
    async with house.kept():
        await asked.wait()
        await until_expired(town)


async def _waiting(town: Town, flood: Alert, names: Sequence[str]) -> list[str]:
    """Alerts that wait for everybody's morning, about one danger each; returns the endpoints."""
    town.clock.at = datetime(2026, 11, 24, 23, tzinfo=UTC)
    for name in names:
        info = replace(
            flood.infos[0],
            event=name,
            headline=name,
            severity=Severity.MODERATE,
            urgency=Urgency.EXPECTED,
            expires=town.clock.now() + timedelta(hours=14),
        )
        sent = replace(flood, identifier=name, sent=town.clock.now(), infos=(info,))
        await town.submit(to_xml(sent), now=False)
        await town.due_now()
        await town.worker().sweep()
        town.clock.advance(60)
    assert town.sent == []
    return sorted(endpoint for _, endpoint in town.expected(to_xml(sent)))


async def _morning(town: Town, house: House) -> None:
    town.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    await house.keep()
    await town.due_now()
    await town.worker().sweep()


async def _items(town: Town) -> int:
    async with town.db.begin() as c:
        return int(await c.scalar(select(func.count()).select_from(digest_item)) or 0)


async def test_batches_of_any_size_send_everybody_one_digest(town: Town, flood: Alert) -> None:
    wanted = await _waiting(town, flood, ["Wildfire", "Avalanche"])
    house = town.house()
    duty = house.duties["digests"]
    duty.size = duty.most = 7
    await _morning(town, house)
    assert sorted(m.endpoint for m in town.sent) == wanted
    for m in town.sent:
        said = m.rendering.text + m.rendering.subject
        assert "Wildfire" in said
        assert "Avalanche" in said
    await house.keep()
    assert await _items(town) == 0


async def test_a_batch_that_cannot_be_done_stops_none_after_it(town: Town, flood: Alert) -> None:
    wanted = await _waiting(town, flood, ["Wildfire"])
    house = town.house()
    duty = house.duties["digests"]
    duty.size = duty.most = 20
    step, failures = duty.step, 0

    async def ill_at_first(connection: AsyncConnection, limit: int) -> Done:
        nonlocal failures
        done = await step(connection, limit)
        if not failures:
            failures = 1
            await connection.execute(text("select 1 / 0"))
        return done

    duty.step = ill_at_first
    town.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    with pytest.raises(Exception, match="division by zero"):
        await house.keep()
    await _morning(town, house)
    assert len(town.sent) == len(wanted) - 20
    # What it could not do is tried again once all the others have been looked at.
    await _morning(town, house)
    assert sorted(m.endpoint for m in town.sent) == wanted


async def test_what_an_unsent_digest_carries_is_not_looked_at(town: Town, flood: Alert) -> None:
    await _waiting(town, flood, ["Wildfire"])
    house = town.house()
    town.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    await house.keep()
    async with town.db.begin() as c:
        # No chunk of digests has ended, so there is nothing to look at.
        assert await digests.settle_carried(c, now=town.clock.now(), chunks=100) == (0, [])
    await town.due_now()
    await town.worker().sweep()
    async with town.db.begin() as c:
        chunks = await c.scalar(text("select count(*) from outbox where digest"))
        assert (await digests.settle_carried(c, now=town.clock.now(), chunks=100))[0] == chunks
        assert (await digests.settle_carried(c, now=town.clock.now(), chunks=100))[0] == 0
    assert await _items(town) == 0


async def test_a_program_of_before_says_nothing_of_the_alert_and_it_is_known(
    town: Town, flood: Alert
) -> None:
    await _waiting(town, flood, ["Wildfire"])
    async with town.db.begin() as c:
        await c.execute(
            text(
                """with gone as (delete from digest_item returning delivery_id, citizen_id, slot_at)
               insert into digest_item (delivery_id, citizen_id, event_id, slot_at)
               select delivery_id, citizen_id, gen_random_uuid(), slot_at from gone"""
            )
        )
        known = await c.scalar(
            text(
                """select count(*) from digest_item i join delivery d on d.id = i.delivery_id
               where i.alert_id = d.alert_id"""
            )
        )
    assert known == await _items(town) > 0


async def test_a_cancel_takes_back_what_waits_in_batches(
    town: Town, flood: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await _waiting(town, flood, ["Wildfire"])
    monkeypatch.setattr("alerting.dispatch.intake.cancel._DEFERRED", 7)
    async with town.db.begin() as c:
        alert_id = await alerts.resolve(c, "Wildfire")
    assert await call_back_all(town.db, town.clock, [alert_id]) == 0
    assert await _items(town) == 0
    ledger = await town.ledger(alert_id)
    assert sum(n for (_, state, _), n in ledger.items() if state == "revoked") == len(wanted)


async def test_chunk_that_a_worker_is_writing_is_marked_for_escalation_later(
    town: Town, alert_xml: bytes
) -> None:
    await town.submit(alert_xml)
    await town.worker().sweep()
    async with town.db.begin() as c:
        failed = await c.scalar(select(delivery.c.id).limit(1))
        await c.execute(update(outbox).values(check_at=None))
    chunk = outbox.c.id == failed // CHUNK_SPAN
    house = town.house()
    house._to_mark = [failed]
    async with town.db.begin() as worker:
        await worker.execute(update(outbox).where(chunk).values(check_at=None))
        # Other duties do not lose what this one has to try again.
        for name in ("settle-digests", "receipts", "expire"):
            await house._once(house.duties[name])
        assert house._to_mark == [failed]
    await house._once(house.duties["settle-digests"])
    assert house._to_mark == []
    async with town.db.begin() as c:
        assert await c.scalar(select(outbox.c.check_at).where(chunk)) == AT_ONCE

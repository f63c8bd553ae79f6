"""Maintenance is many small duties: one that fails stops no other, and each is done by one
process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from dispatch_harness import DispatchHarness
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.cap import to_xml
from alerting.dispatch.intake.cancel import revoke_all
from alerting.dispatch.workers.duty import Done, Duty
from alerting.dispatch.workers.maintenance import Maintenance
from alerting.domain.alert import Alert, Severity, Urgency
from alerting.store.alerts import stored_alerts
from alerting.store.ledger import digests
from alerting.store.ledger.escalations import AT_ONCE
from alerting.store.schema import CHUNK_SPAN, alert, delivery, digest_item, outbox
from alerting.store.work.duties import LOCK


async def _ill(connection: AsyncConnection, limit: int) -> Done:
    await connection.execute(text("select 1 / 0"))
    return Done()


async def _states(harness: DispatchHarness) -> list[str]:
    async with harness.db.begin() as c:
        return list(await c.scalars(select(alert.c.state)))


async def _run_out(harness: DispatchHarness, alert_xml: bytes) -> None:
    """An alert whose time is over."""
    await harness.submit(alert_xml)
    async with harness.db.begin() as c:
        await c.execute(text("update alert set expires_at = now() - interval '1 minute'"))
    harness.clock.advance(60)


async def until_expired(harness: DispatchHarness) -> None:
    async with asyncio.timeout(60):
        while await _states(harness) != ["expired"]:  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ill", ["receipts", "digests", "call-back"])
async def test_failing_duty_stops_no_other(
    harness: DispatchHarness, alert_xml: bytes, ill: str
) -> None:
    await _run_out(harness, alert_xml)
    maintenance = harness.maintenance()
    maintenance.duties[ill].step = _ill
    async with maintenance.running():
        await until_expired(harness)


async def test_failing_duty_is_raised_at_end_of_round(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await _run_out(harness, alert_xml)
    maintenance = harness.maintenance()
    maintenance.duties["receipts"].step = _ill
    with pytest.raises(Exception, match="division by zero"):
        await maintenance.run_once()
    assert await _states(harness) == ["expired"]


async def test_each_duty_runs_in_one_process_at_a_time(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await _run_out(harness, alert_xml)
    maintenance = harness.maintenance()
    async with harness.db.begin() as other:
        await other.execute(
            select(func.pg_advisory_xact_lock(LOCK, maintenance.duties["expire"].no))
        )
        assert not await maintenance.run_once()
        assert await _states(harness) == ["accepted"]
    assert await maintenance.run_once()
    assert await _states(harness) == ["expired"]


async def test_maintenance_waits_for_previous_version(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await _run_out(harness, alert_xml)
    async with harness.db.begin() as before:
        assert await before.scalar(select(func.pg_try_advisory_xact_lock(LOCK)))
        assert not await harness.maintenance().run_once()
    assert await harness.maintenance().run_once()


async def test_round_respects_row_limit_of_duty(harness: DispatchHarness, alert_xml: bytes) -> None:
    for n in range(5):
        await harness.submit(alert_xml.replace(b"example-flood", f"flood-{n}".encode()))
    async with harness.db.begin() as c:
        await c.execute(text("update alert set expires_at = now() - interval '1 minute'"))
    harness.clock.advance(60)
    maintenance = harness.maintenance()
    duty = maintenance.duties["expire"]
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
    await maintenance.run_once()
    assert counts == [2, 4, 5]


async def test_batch_size_follows_transaction_time(
    harness: DispatchHarness,
) -> None:
    async def slow(connection: AsyncConnection, limit: int) -> Done:
        await connection.execute(text("select pg_sleep(0.15)"))
        return Done()

    async def quick(connection: AsyncConnection, limit: int) -> Done:
        return Done(more=True)

    async def idle(connection: AsyncConnection, limit: int) -> Done:
        return Done()

    duty = Duty("any", 99, slow, size=64, most=100)
    async with harness.db.begin() as c:
        await duty.run(c)
        assert duty.size == 32
        # How quickly nothing is done says nothing about how much fits.
        duty.step = idle
        await duty.run(c)
        assert duty.size == 32
        duty.step = quick
        await duty.run(c)
        await duty.run(c)
    assert duty.size == 100


async def test_alerts_are_finished_a_few_at_a_time_however_quickly_others_were(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    """Each may have as many deliveries to be counted as it has citizens."""
    maintenance = harness.maintenance()
    for n in range(24):
        await harness.submit(alert_xml.replace(b"example-flood", f"flood-{n}".encode()))
    async with harness.db.begin() as c:
        await c.execute(text("update outbox set state = 'done', done_at = now()"))
        await c.execute(text("update alert set planned_at = now(), state = 'delivering'"))
    duty = maintenance.duties["finish"]
    duty.size = duty.most
    step, finished = duty.step, [0]

    async def counted(connection: AsyncConnection, limit: int) -> Done:
        done = await step(connection, limit)
        finished.append(
            await connection.scalar(select(func.count()).where(alert.c.finished_at.is_not(None)))
        )
        return done

    duty.step = counted
    await maintenance.run_once()
    assert finished[-1] == 24
    assert max(b - a for a, b in pairwise(finished)) <= 10


async def test_only_routine_duties_yield_to_severe_alerts(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await _run_out(harness, alert_xml)
    asked = asyncio.Event()

    async def for_ever() -> None:
        asked.set()
        await asyncio.Event().wait()

    maintenance = harness.maintenance(wait_for_higher_priority=for_ever)
    async with maintenance.running():
        await asked.wait()
        await until_expired(harness)


async def _waiting(harness: DispatchHarness, flood: Alert, names: Sequence[str]) -> list[str]:
    """Alerts that wait for everybody's morning, about one danger each; returns the endpoints."""
    harness.clock.at = datetime(2026, 11, 24, 23, tzinfo=UTC)
    for name in names:
        info = replace(
            flood.infos[0],
            event=name,
            headline=name,
            severity=Severity.MODERATE,
            urgency=Urgency.EXPECTED,
            expires=harness.clock.now() + timedelta(hours=14),
        )
        sent = replace(flood, identifier=name, sent=harness.clock.now(), infos=(info,))
        await harness.submit(to_xml(sent), now=False)
        await harness.due_now()
        await harness.worker().sweep()
        harness.clock.advance(60)
    assert harness.sent == []
    return sorted(endpoint for _, endpoint in harness.expected(to_xml(sent)))


async def _morning(harness: DispatchHarness, maintenance: Maintenance) -> None:
    harness.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    await maintenance.run_once()
    await harness.due_now()
    await harness.worker().sweep()


async def _items(harness: DispatchHarness) -> int:
    async with harness.db.begin() as c:
        return int(await c.scalar(select(func.count()).select_from(digest_item)) or 0)


async def test_digest_is_sent_once_for_any_batch_size(
    harness: DispatchHarness, flood: Alert
) -> None:
    wanted = await _waiting(harness, flood, ["Wildfire", "Avalanche"])
    maintenance = harness.maintenance()
    duty = maintenance.duties["digests"]
    duty.size = duty.most = 7
    await _morning(harness, maintenance)
    assert sorted(m.endpoint for m in harness.sent) == wanted
    for m in harness.sent:
        said = m.rendering.text + m.rendering.subject
        assert "Wildfire" in said
        assert "Avalanche" in said
    await maintenance.run_once()
    assert await _items(harness) == 0


async def test_failing_digest_batch_stops_no_later_one(
    harness: DispatchHarness, flood: Alert
) -> None:
    wanted = await _waiting(harness, flood, ["Wildfire"])
    maintenance = harness.maintenance()
    duty = maintenance.duties["digests"]
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
    harness.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    with pytest.raises(Exception, match="division by zero"):
        await maintenance.run_once()
    await _morning(harness, maintenance)
    assert len(harness.sent) == len(wanted) - 20
    # What it could not do is tried again once all the others have been looked at.
    await _morning(harness, maintenance)
    assert sorted(m.endpoint for m in harness.sent) == wanted


async def test_unsent_digest_items_are_not_examined(harness: DispatchHarness, flood: Alert) -> None:
    await _waiting(harness, flood, ["Wildfire"])
    maintenance = harness.maintenance()
    harness.clock.at = datetime(2026, 11, 25, 8, 1, tzinfo=UTC)
    await maintenance.run_once()
    async with harness.db.begin() as c:
        # No chunk of digests has ended, so there is nothing to look at.
        assert await digests.record_carried_outcomes(c, now=harness.clock.now(), chunks=100) == (
            0,
            [],
        )
    await harness.due_now()
    await harness.worker().sweep()
    async with harness.db.begin() as c:
        chunks = await c.scalar(text("select count(*) from outbox where digest"))
        assert (await digests.record_carried_outcomes(c, now=harness.clock.now(), chunks=100))[
            0
        ] == chunks
        assert (await digests.record_carried_outcomes(c, now=harness.clock.now(), chunks=100))[
            0
        ] == 0
    assert await _items(harness) == 0


async def test_digest_item_of_previous_version_gets_its_alert(
    harness: DispatchHarness, flood: Alert
) -> None:
    await _waiting(harness, flood, ["Wildfire"])
    async with harness.db.begin() as c:
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
    assert known == await _items(harness) > 0


async def test_cancel_revokes_digest_items_in_batches(
    harness: DispatchHarness, flood: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await _waiting(harness, flood, ["Wildfire"])
    monkeypatch.setattr("alerting.dispatch.intake.cancel._DEFERRED", 7)
    async with harness.db.begin() as c:
        alert_id = await stored_alerts.resolve(c, "Wildfire")
    assert await revoke_all(harness.db, harness.clock, [alert_id]) == 0
    assert await _items(harness) == 0
    ledger = await harness.ledger(alert_id)
    assert sum(n for (_, state, _), n in ledger.items() if state == "revoked") == len(wanted)


async def test_locked_chunk_is_marked_for_escalation_later(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await harness.submit(alert_xml)
    await harness.worker().sweep()
    async with harness.db.begin() as c:
        failed = await c.scalar(select(delivery.c.id).limit(1))
        await c.execute(update(outbox).values(check_at=None))
    chunk = outbox.c.id == failed // CHUNK_SPAN
    maintenance = harness.maintenance()
    maintenance._to_mark = [failed]
    async with harness.db.begin() as worker:
        await worker.execute(update(outbox).where(chunk).values(check_at=None))
        # Other duties do not lose what this one has to try again.
        for name in ("settle-digests", "receipts", "expire"):
            await maintenance._once(maintenance.duties[name])
        assert maintenance._to_mark == [failed]
    await maintenance._once(maintenance.duties["settle-digests"])
    assert maintenance._to_mark == []
    async with harness.db.begin() as c:
        assert await c.scalar(select(outbox.c.check_at).where(chunk)) == AT_ONCE

"""Workers that are killed, stopped, cut off or told to end, and what is in doubt afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import datetime

import psycopg
import pytest
from dispatch_harness import DispatchHarness, until
from sqlalchemy import func, select, text, update

from alerting.channels.base import Outcome, Outgoing
from alerting.dispatch.lease import Lease
from alerting.domain.alert_state import AlertState
from alerting.store.schema import outbox as table
from alerting.store.work import claims
from alerting.store.work.claims import Fenced


async def leased_until(harness: DispatchHarness, outbox_id: int) -> datetime:
    async with harness.db.begin() as c:
        found = await c.scalar(select(table.c.lease_until).where(table.c.id == outbox_id))
    assert isinstance(found, datetime)
    return found


async def test_lease_is_renewed_while_chunk_takes_long(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await harness.submit(alert_xml)
    work = await harness.claim("slow", lease_s=3)
    lease = Lease(harness.db, work, lease_s=3)
    first = await leased_until(harness, work.id)

    async def extended() -> bool:
        return await leased_until(harness, work.id) > first

    async with lease.heartbeat():
        await until(extended)
        assert lease.is_valid
        assert await harness.claim_one(work.id, "other") is None


async def test_worker_without_lease_calls_no_provider(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lease, "is_valid", property(lambda lease: False))
        await harness.worker().sweep()
    assert harness.sent == []
    rows = await harness.rows(submitted.alert_id)
    assert {r["state"] for r in rows} == {"planned"}
    assert {r["tries"] for r in rows} == {0}
    assert "not-called" in {r["code"] for r in rows}


def cut_connections(url: str) -> None:
    """What a restart of PostgreSQL does to everybody connected; returns once they are cut off."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """select pg_terminate_backend(pid, 10000) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()"""
        )


async def test_outcomes_survive_postgresql_outage(
    harness: DispatchHarness, alert_xml: bytes, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = await harness.submit(alert_xml)
    writes = cuts = 0
    commit_batch_and_open_next = claims.commit_batch_and_open_next

    async def cut_before_writing(*args: object, **options: object) -> AlertState:
        """Every third write finds its connection gone."""
        nonlocal writes, cuts
        writes += 1
        if writes % 3 == 0:
            cuts += 1
            await asyncio.to_thread(cut_connections, database_url)
        return await commit_batch_and_open_next(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(claims, "commit_batch_and_open_next", cut_before_writing)
    async with asyncio.timeout(60):
        await harness.worker().sweep()
    assert cuts > 5
    rows = await harness.rows(submitted.alert_id)
    assert {r["state"] for r in rows} == {"accepted"}
    # Every answer was written: nothing was in doubt, so nothing was sent twice.
    assert not any(r["possible_duplicate"] for r in rows)
    assert Counter(m.endpoint for m in harness.sent).most_common(1)[0][1] == 1


async def kill_all(harness: DispatchHarness, sweeps: int, deadly: str) -> None:
    """Let workers try again and again while the message to `deadly` ends each of them."""

    def end(m: Outgoing) -> Outcome:
        if m.endpoint == deadly:
            raise asyncio.CancelledError
        return Outcome(m.delivery_id, provider_ref="ok")

    for channel in harness.channels.values():
        channel.answer = end
    past = func.now() - text("interval '1 second'")
    for _ in range(sweeps):
        with suppress(asyncio.CancelledError):
            await harness.worker().sweep()
        async with harness.db.begin() as c:
            await c.execute(update(table).where(table.c.state == "leased").values(lease_until=past))
            await c.execute(update(table).values(not_before=past))


async def test_poisoned_message_fails_alone(harness: DispatchHarness, alert_xml: bytes) -> None:
    harness.settings.in_doubt_wait_s = 0
    submitted = await harness.submit(alert_xml)
    _, deadly = sorted(t for t in harness.expected(alert_xml) if t[0] == "sms")[3]
    await kill_all(harness, 30, deadly)
    rows = await harness.rows(submitted.alert_id)
    assert {r["state"] for r in rows} == {"accepted", "failed"}
    (lost,) = [r for r in rows if r["state"] == "failed"]
    assert (lost["channel"], lost["reason"]) == ("sms", "in-doubt")
    notified = {m.endpoint for m in harness.sent}
    assert notified >= {e for _, e in harness.expected(alert_xml)}


async def test_stop_leaves_chunks_between_two_windows(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    submitted = await harness.submit(alert_xml)
    ending = False

    def after_ten(m: Outgoing) -> Outcome:
        nonlocal ending
        ending = len(harness.sent) >= 10
        return Outcome(m.delivery_id, provider_ref="ok")

    for channel in harness.channels.values():
        channel.answer = after_ten
    await harness.worker(stopping=lambda: ending).sweep()
    rows = await harness.rows(submitted.alert_id)
    sent = [r for r in rows if r["state"] == "accepted"]
    # A window may be open on each channel.
    assert 10 <= len(sent) < 10 + harness.settings.window * len(harness.channels)
    assert {r["state"] for r in rows} == {"accepted", "planned"}
    async with harness.db.begin() as c:
        open_rows = (await c.execute(select(table).where(table.c.state != "done"))).all()
    assert {r.state for r in open_rows} == {"ready"}
    assert {r.window_to for r in open_rows} == {0}
    ending = False
    await harness.due_now()
    await harness.worker().sweep()
    assert {m.endpoint for m in harness.sent} == {e for _, e in harness.expected(alert_xml)}
    assert len(harness.sent) == len(harness.expected(alert_xml))


async def test_stop_waits_for_calls_in_flight(harness: DispatchHarness, alert_xml: bytes) -> None:
    submitted = await harness.submit(alert_xml)
    begun, go_on = asyncio.Event(), asyncio.Event()
    ending = False
    worker = harness.worker(stopping=lambda: ending)
    hold = harness.channels["sms"]
    original = hold.send

    async def wait(message: Outgoing) -> Outcome:
        begun.set()
        await go_on.wait()
        return await original(message)

    for channel in harness.channels.values():
        channel.send = wait  # type: ignore[method-assign]
    async with asyncio.timeout(60):
        async with worker.serving():
            await begun.wait()
            ending = True
            asyncio.get_running_loop().call_later(0.05, go_on.set)
    rows = await harness.rows(submitted.alert_id)
    assert {r["state"] for r in rows} <= {"accepted", "planned"}
    assert any(r["state"] == "accepted" for r in rows)


async def test_worker_detects_stolen_lease_and_writes_nothing(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await harness.submit(alert_xml)
    work = await harness.claim("first", lease_s=60)
    async with harness.db.begin() as c:
        await c.execute(update(table).values(lease_until=func.now() - text("interval '1 s'")))
    assert await harness.claim_one(work.id, "second") is not None
    wrote = False

    async def act(*_: object) -> None:
        nonlocal wrote
        wrote = True

    with pytest.raises(Fenced):
        await Lease(harness.db, work, lease_s=60).write(act)
    assert not wrote

"""Workers that are killed, stopped, cut off or told to end, and what is in doubt afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import datetime

import psycopg
import pytest
from sqlalchemy import func, select, text, update
from town import Town, until

from alerting.channels.base import Outcome, Outgoing
from alerting.dispatch.lease import Lease
from alerting.domain.alert_state import AlertState
from alerting.store import claims
from alerting.store.claims import Fenced
from alerting.store.schema import outbox as table


async def leased_until(town: Town, outbox_id: int) -> datetime:
    async with town.db.begin() as c:
        found = await c.scalar(select(table.c.lease_until).where(table.c.id == outbox_id))
    assert isinstance(found, datetime)
    return found


async def test_a_lease_is_extended_while_its_chunk_takes_long(town: Town, alert_xml: bytes) -> None:
    await town.submit(alert_xml)
    work = await town.claim("slow", lease_s=3)
    lease = Lease(town.db, work, lease_s=3)
    first = await leased_until(town, work.id)

    async def extended() -> bool:
        return await leased_until(town, work.id) > first

    async with lease.kept():
        await until(extended)
        assert lease.sure
        assert await town.claim_one(work.id, "other") is None


async def test_whoever_lost_the_lease_calls_no_provider(town: Town, alert_xml: bytes) -> None:
    submitted = await town.submit(alert_xml)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lease, "sure", property(lambda lease: False))
        await town.worker().sweep()
    assert town.sent == []
    rows = await town.rows(submitted.alert_id)
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


async def test_outcomes_outlive_a_postgresql_that_goes_away(
    town: Town, alert_xml: bytes, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = await town.submit(alert_xml)
    writes = cuts = 0
    turn_window = claims.turn_window

    async def cut_before_writing(*args: object, **options: object) -> AlertState:
        """Every third write finds its connection gone."""
        nonlocal writes, cuts
        writes += 1
        if writes % 3 == 0:
            cuts += 1
            await asyncio.to_thread(cut_connections, database_url)
        return await turn_window(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(claims, "turn_window", cut_before_writing)
    async with asyncio.timeout(60):
        await town.worker().sweep()
    assert cuts > 5
    rows = await town.rows(submitted.alert_id)
    assert {r["state"] for r in rows} == {"accepted"}
    # Every answer was written: nothing was in doubt, so nothing was sent twice.
    assert not any(r["possible_duplicate"] for r in rows)
    assert Counter(m.endpoint for m in town.sent).most_common(1)[0][1] == 1


async def kill_all(town: Town, sweeps: int, deadly: str) -> None:
    """Let workers try again and again while the message to `deadly` ends each of them."""

    def end(m: Outgoing) -> Outcome:
        if m.endpoint == deadly:
            raise asyncio.CancelledError
        return Outcome(m.delivery_id, provider_ref="ok")

    for channel in town.channels.values():
        channel.answer = end
    past = func.now() - text("interval '1 second'")
    for _ in range(sweeps):
        with suppress(asyncio.CancelledError):
            await town.worker().sweep()
        async with town.db.begin() as c:
            await c.execute(update(table).where(table.c.state == "leased").values(lease_until=past))
            await c.execute(update(table).values(not_before=past))


async def test_one_message_that_ends_every_worker_ends_nobody_elses(
    town: Town, alert_xml: bytes
) -> None:
    town.settings.in_doubt_wait_s = 0
    submitted = await town.submit(alert_xml)
    _, deadly = sorted(t for t in town.expected(alert_xml) if t[0] == "sms")[3]
    await kill_all(town, 30, deadly)
    rows = await town.rows(submitted.alert_id)
    assert {r["state"] for r in rows} == {"accepted", "failed"}
    (lost,) = [r for r in rows if r["state"] == "failed"]
    assert (lost["channel"], lost["reason"]) == ("sms", "in-doubt")
    told = {m.endpoint for m in town.sent}
    assert told >= {e for _, e in town.expected(alert_xml)}


async def test_told_to_end_it_leaves_its_chunks_between_two_windows(
    town: Town, alert_xml: bytes
) -> None:
    submitted = await town.submit(alert_xml)
    ending = False

    def after_ten(m: Outgoing) -> Outcome:
        nonlocal ending
        ending = len(town.sent) >= 10
        return Outcome(m.delivery_id, provider_ref="ok")

    for channel in town.channels.values():
        channel.answer = after_ten
    await town.worker(stopping=lambda: ending).sweep()
    rows = await town.rows(submitted.alert_id)
    sent = [r for r in rows if r["state"] == "accepted"]
    # A window may be open on each channel.
    assert 10 <= len(sent) < 10 + town.settings.window * len(town.channels)
    assert {r["state"] for r in rows} == {"accepted", "planned"}
    async with town.db.begin() as c:
        open_rows = (await c.execute(select(table).where(table.c.state != "done"))).all()
    assert {r.state for r in open_rows} == {"ready"}
    assert {r.window_to for r in open_rows} == {0}
    ending = False
    await town.due_now()
    await town.worker().sweep()
    assert {m.endpoint for m in town.sent} == {e for _, e in town.expected(alert_xml)}
    assert len(town.sent) == len(town.expected(alert_xml))


async def test_leaving_waits_for_what_is_under_way(town: Town, alert_xml: bytes) -> None:
    submitted = await town.submit(alert_xml)
    begun, go_on = asyncio.Event(), asyncio.Event()
    ending = False
    worker = town.worker(stopping=lambda: ending)
    hold = town.channels["sms"]
    original = hold.send

    async def wait(message: Outgoing) -> Outcome:
        begun.set()
        await go_on.wait()
        return await original(message)

    for channel in town.channels.values():
        channel.send = wait  # type: ignore[method-assign]
    async with asyncio.timeout(60):
        async with worker.serving():
            await begun.wait()
            ending = True
            asyncio.get_running_loop().call_later(0.05, go_on.set)
    rows = await town.rows(submitted.alert_id)
    assert {r["state"] for r in rows} <= {"accepted", "planned"}
    assert any(r["state"] == "accepted" for r in rows)


async def test_a_worker_whose_lease_was_taken_learns_it_and_writes_nothing(
    town: Town, alert_xml: bytes
) -> None:
    await town.submit(alert_xml)
    work = await town.claim("first", lease_s=60)
    async with town.db.begin() as c:
        await c.execute(update(table).values(lease_until=func.now() - text("interval '1 s'")))
    assert await town.claim_one(work.id, "second") is not None
    wrote = False

    async def act(*_: object) -> None:
        nonlocal wrote
        wrote = True

    with pytest.raises(Fenced):
        await Lease(town.db, work, lease_s=60).write(act)
    assert not wrote

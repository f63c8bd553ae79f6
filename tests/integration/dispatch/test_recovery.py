"""Work of workers that are dead, absent for a moment, or never learned of their claim."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import psycopg
import pytest
from dispatch_harness import DispatchHarness, until
from sqlalchemy import func, select, text, update

from alerting.dispatch.workers import recovery as recovery_times
from alerting.store.db import Database
from alerting.store.schema import outbox as table
from alerting.store.work import presence as presence_times
from alerting.store.work import queues
from alerting.store.work.presence import Presence


@asynccontextmanager
async def shown(harness: DispatchHarness, url: str) -> AsyncIterator[Presence]:
    presence = Presence(url)
    async with presence.shown():
        yield presence


async def test_recover_frees_the_work_of_a_killed_worker(
    harness: DispatchHarness, alert_xml: bytes, database_url: str
) -> None:
    await harness.submit(alert_xml)
    worker = harness.worker()
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(shown(harness, database_url))
        work = await harness.claim(dying.owner, lease_s=3600)

        async def taken() -> bool:
            await worker.recover()
            return await harness.claim_one(work.id, "next") is not None

        for _ in range(5):
            assert not await taken()
    await until(taken)


async def test_recover_frees_claim_whose_answer_was_lost(
    harness: DispatchHarness, alert_xml: bytes, database_url: str
) -> None:
    """PostgreSQL took the claim and fell silent; the worker lives and knows nothing of it."""
    await harness.submit(alert_xml)
    async with shown(harness, database_url) as presence:
        worker = harness.worker(owner=presence.owner)
        lease_s = harness.settings.lease_s
        young = await harness.claim(presence.owner, lease_s=lease_s)
        await worker.recover()
        assert await harness.claim_one(young.id, "next") is None
        async with harness.db.begin() as c:
            await c.execute(update(table).values(lease_until=func.now() + timedelta(seconds=1)))
        await worker.recover()
        assert await harness.claim_one(young.id, "next") is not None


async def test_recover_waits_after_postgresql_stalled(
    harness: DispatchHarness, alert_xml: bytes, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that was answered late says nothing of how long anybody has been absent."""
    await harness.submit(alert_xml)
    worker = harness.worker()
    async with AsyncExitStack() as stack:
        gone = await stack.enter_async_context(shown(harness, database_url))
        work = await harness.claim(gone.owner, lease_s=3600)

    async def away_from_sight() -> bool:
        return await presence_held_by(harness, gone) is None

    await until(away_from_sight)
    look = presence_times.absent

    async def late(db: Database) -> set[str]:
        # As long as the time-outs allow and longer than any grace, by this process's clock.
        found = await look(db)
        clock.late_s += 8
        return found

    clock = LateClock()
    monkeypatch.setattr(recovery_times, "time", clock)
    monkeypatch.setattr(presence_times, "absent", late)
    await worker.recover()
    monkeypatch.setattr(presence_times, "absent", look)
    await worker.recover()
    assert await harness.claim_one(work.id, "next") is None


class LateClock:
    """The time of a process, put forward."""

    late_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.late_s


async def test_recover_leaves_work_of_living_worker(
    harness: DispatchHarness, alert_xml: bytes, database_url: str
) -> None:
    await harness.submit(alert_xml)
    async with shown(harness, database_url) as presence:
        worker = harness.worker(owner=presence.owner)
        assert await worker.fill() == 1
        (work,) = worker._running.values()
        await worker.recover()
        assert await harness.claim_one(work.id, "next") is None
        await worker.finish()


async def test_recover_waits_for_a_worker_without_presence(
    harness: DispatchHarness, alert_xml: bytes
) -> None:
    await harness.submit(alert_xml)
    work = await harness.claim("host:1:ab", lease_s=60)
    for _ in range(3):
        await harness.worker().recover()
        assert await harness.claim_one(work.id, "next") is None


async def test_recover_leaves_worker_that_lost_its_presence(
    harness: DispatchHarness, alert_xml: bytes, database_url: str
) -> None:
    await harness.submit(alert_xml)
    others = [harness.worker(), harness.worker()]
    async with shown(harness, database_url) as presence:
        work = await harness.claim(presence.owner, lease_s=3600)
        for _ in range(5):
            await cut_presence(harness, presence)
            for other in others:
                await other.recover()
                assert await harness.claim_one(work.id, "next") is None

            async def back() -> bool:
                return await presence_held_by(harness, presence) is not None

            await until(back)
            for other in others:
                await other.recover()


async def test_presence_reconnects_without_pause(
    harness: DispatchHarness, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others look for it several times a second."""
    async with shown(harness, database_url) as presence:
        monkeypatch.setattr(presence_times, "_AGAIN_S", 3600.0)
        first = await cut_presence(harness, presence)

        async def back() -> bool:
            return await presence_held_by(harness, presence) not in {None, first}

        await until(back)


async def test_recover_looks_for_absent_owner_before_next_sweep(
    harness: DispatchHarness, alert_xml: bytes, database_url: str
) -> None:
    """One that shows itself between two sweeps must be seen, and a dead one is not waited for."""
    harness.settings = harness.settings.model_copy(update={"sweep_s": 3600.0})
    await harness.submit(alert_xml)
    async with shown(harness, database_url) as dying:
        work = await harness.claim(dying.owner, lease_s=3600)

    async def gone() -> bool:
        return await presence_held_by(harness, dying) is None

    async def freed() -> bool:
        async with harness.db.begin() as c:
            owner = await c.scalar(select(table.c.owner).where(table.c.id == work.id))
        return owner != dying.owner

    await until(gone)
    async with harness.worker().serving():
        await until(freed)


async def test_recover_waits_after_postgresql_outage(
    harness: DispatchHarness, alert_xml: bytes, database_url: str
) -> None:
    await harness.submit(alert_xml)
    worker = harness.worker()
    async with AsyncExitStack() as stack:
        gone = await stack.enter_async_context(shown(harness, database_url))
        work = await harness.claim(gone.owner, lease_s=3600)
    await worker.recover()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queues, "recover", away)
        with pytest.raises(psycopg.OperationalError):
            await worker.recover()
    await worker.recover()
    # As if the first look after it had been a second ago.
    for owner in worker._recovery._absent:
        worker._recovery._absent[owner] -= 1
    await worker.recover()
    assert await harness.claim_one(work.id, "next") is None


async def away(*_: object, **__: object) -> list[int]:
    raise psycopg.OperationalError


async def presence_held_by(harness: DispatchHarness, presence: Presence) -> int | None:
    key = int(presence.owner.split("#")[1])
    async with harness.db.begin() as c:
        pid: int | None = await c.scalar(
            text("select pid from pg_locks where locktype = 'advisory' and objid = :key"),
            {"key": key},
        )
        return pid


async def cut_presence(harness: DispatchHarness, presence: Presence) -> int:
    """End the connection by which it shows; returns the process that served it."""
    pid = await presence_held_by(harness, presence)
    assert pid is not None
    async with harness.db.begin() as c:
        await c.execute(select(func.pg_terminate_backend(pid, 10_000)))
    return pid


async def test_presence_reconnects_after_connection_was_cut(
    harness: DispatchHarness, database_url: str
) -> None:
    async with shown(harness, database_url) as presence:
        first = await cut_presence(harness, presence)

        async def back() -> bool:
            return await presence_held_by(harness, presence) not in {None, first}

        await until(back)

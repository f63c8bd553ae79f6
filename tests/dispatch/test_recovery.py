"""Work of workers that are dead, absent for a moment, or never learned of their claim."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import func, select, text, update
from town import Town, until

from alerting.dispatch.workers import recovery as recovery_times
from alerting.store import presence as presence_times
from alerting.store import queues
from alerting.store.db import Database
from alerting.store.presence import Presence
from alerting.store.schema import outbox as table


@asynccontextmanager
async def shown(town: Town, url: str) -> AsyncIterator[Presence]:
    presence = Presence(url)
    async with presence.shown():
        yield presence


async def test_recover_frees_the_work_of_a_killed_worker(
    town: Town, alert_xml: bytes, database_url: str
) -> None:
    await town.submit(alert_xml)
    worker = town.worker()
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(shown(town, database_url))
        work = await town.claim(dying.owner, lease_s=3600)

        async def taken() -> bool:
            await worker.recover()
            return await town.claim_one(work.id, "next") is not None

        for _ in range(5):
            assert not await taken()
    await until(taken)


async def test_recover_frees_what_was_claimed_without_an_answer(
    town: Town, alert_xml: bytes, database_url: str
) -> None:
    """PostgreSQL took the claim and fell silent; the worker lives and knows nothing of it."""
    await town.submit(alert_xml)
    async with shown(town, database_url) as presence:
        worker = town.worker(owner=presence.owner)
        lease_s = town.settings.lease_s
        young = await town.claim(presence.owner, lease_s=lease_s)
        await worker.recover()
        assert await town.claim_one(young.id, "next") is None
        async with town.db.begin() as c:
            await c.execute(update(table).values(lease_until=func.now() + timedelta(seconds=1)))
        await worker.recover()
        assert await town.claim_one(young.id, "next") is not None


async def test_recover_gives_time_to_come_back_after_postgresql_stood_still(
    town: Town, alert_xml: bytes, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that was answered late says nothing of how long anybody has been absent."""
    await town.submit(alert_xml)
    worker = town.worker()
    async with AsyncExitStack() as stack:
        gone = await stack.enter_async_context(shown(town, database_url))
        work = await town.claim(gone.owner, lease_s=3600)

    async def away_from_sight() -> bool:
        return await presence_held_by(town, gone) is None

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
    assert await town.claim_one(work.id, "next") is None


class LateClock:
    """The time of a process, put forward."""

    late_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.late_s


async def test_recover_leaves_what_the_worker_has_in_hand(
    town: Town, alert_xml: bytes, database_url: str
) -> None:
    await town.submit(alert_xml)
    async with shown(town, database_url) as presence:
        worker = town.worker(owner=presence.owner)
        assert await worker.fill() == 1
        (work,) = worker._in_hand.values()
        await worker.recover()
        assert await town.claim_one(work.id, "next") is None
        await worker.finish()


async def test_recover_waits_for_a_worker_without_presence(town: Town, alert_xml: bytes) -> None:
    await town.submit(alert_xml)
    work = await town.claim("host:1:ab", lease_s=60)
    for _ in range(3):
        await town.worker().recover()
        assert await town.claim_one(work.id, "next") is None


async def test_recover_leaves_a_worker_alone_that_lost_its_presence_connection(
    town: Town, alert_xml: bytes, database_url: str
) -> None:
    await town.submit(alert_xml)
    others = [town.worker(), town.worker()]
    async with shown(town, database_url) as presence:
        work = await town.claim(presence.owner, lease_s=3600)
        for _ in range(5):
            await cut_presence(town, presence)
            for other in others:
                await other.recover()
                assert await town.claim_one(work.id, "next") is None

            async def back() -> bool:
                return await presence_held_by(town, presence) is not None

            await until(back)
            for other in others:
                await other.recover()


async def test_presence_comes_back_without_a_pause(
    town: Town, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others look for it several times a second."""
    async with shown(town, database_url) as presence:
        monkeypatch.setattr(presence_times, "_AGAIN_S", 3600.0)
        first = await cut_presence(town, presence)

        async def back() -> bool:
            return await presence_held_by(town, presence) not in {None, first}

        await until(back)


async def test_absent_owner_is_looked_for_again_long_before_the_next_sweep(
    town: Town, alert_xml: bytes, database_url: str
) -> None:
    """One that shows itself between two sweeps must be seen, and a dead one is not waited for."""
    town.settings = town.settings.model_copy(update={"sweep_s": 3600.0})
    await town.submit(alert_xml)
    async with shown(town, database_url) as dying:
        work = await town.claim(dying.owner, lease_s=3600)

    async def gone() -> bool:
        return await presence_held_by(town, dying) is None

    async def freed() -> bool:
        async with town.db.begin() as c:
            owner = await c.scalar(select(table.c.owner).where(table.c.id == work.id))
        return owner != dying.owner

    await until(gone)
    async with town.worker().serving():
        await until(freed)


async def test_recover_gives_everybody_time_to_come_back_after_postgresql_was_away(
    town: Town, alert_xml: bytes, database_url: str
) -> None:
    await town.submit(alert_xml)
    worker = town.worker()
    async with AsyncExitStack() as stack:
        gone = await stack.enter_async_context(shown(town, database_url))
        work = await town.claim(gone.owner, lease_s=3600)
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
    assert await town.claim_one(work.id, "next") is None


async def away(*_: object, **__: object) -> list[int]:
    raise psycopg.OperationalError


async def presence_held_by(town: Town, presence: Presence) -> int | None:
    key = int(presence.owner.split("#")[1])
    async with town.db.begin() as c:
        pid: int | None = await c.scalar(
            text("select pid from pg_locks where locktype = 'advisory' and objid = :key"),
            {"key": key},
        )
        return pid


async def cut_presence(town: Town, presence: Presence) -> int:
    """End the connection by which it shows; returns the process that served it."""
    pid = await presence_held_by(town, presence)
    assert pid is not None
    async with town.db.begin() as c:
        await c.execute(select(func.pg_terminate_backend(pid, 10_000)))
    return pid


async def test_presence_comes_back_after_its_connection_was_cut(
    town: Town, database_url: str
) -> None:
    async with shown(town, database_url) as presence:
        first = await cut_presence(town, presence)

        async def back() -> bool:
            return await presence_held_by(town, presence) not in {None, first}

        await until(back)

"""Workers that are killed, stopped, cut off or told to end, and what is in doubt afterwards."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import func, select, text, update
from town import Town

from alerting.channels.base import Outcome, Outgoing
from alerting.dispatch.chunks.locks import SLICE_S, ChannelLocks
from alerting.dispatch.lease import Lease
from alerting.dispatch.workers import recovery as recovery_times
from alerting.domain.alert_state import AlertState
from alerting.domain.lane import Lane
from alerting.store import claims, queues
from alerting.store import presence as presence_times
from alerting.store.claims import Fenced
from alerting.store.db import Database
from alerting.store.outbox import Work
from alerting.store.presence import Presence
from alerting.store.schema import outbox as table


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what PostgreSQL or another task does."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - raises no event here
            await asyncio.sleep(0.01)


async def lease_until(town: Town, outbox_id: int) -> float:
    async with town.db.begin() as c:
        left = func.extract("epoch", table.c.lease_until - func.clock_timestamp())
        return float(await c.scalar(select(left).where(table.c.id == outbox_id)) or 0)


async def test_a_lease_is_extended_while_its_chunk_takes_long(town: Town, alert_xml: bytes) -> None:
    await town.submit(alert_xml)
    work = await town.claim("slow", lease_s=0.5)
    lease = Lease(town.db, work, lease_s=0.5)
    started = asyncio.get_running_loop().time()

    async def outlived() -> bool:
        return asyncio.get_running_loop().time() - started > 1

    async with lease.kept():
        await until(outlived)
        assert lease.sure
        assert await lease_until(town, work.id) > 0
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
    assert "lease-lost" in {r["code"] for r in rows}


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
        await c.execute(select(func.pg_terminate_backend(pid)))
    return pid


async def test_presence_comes_back_after_its_connection_was_cut(
    town: Town, database_url: str
) -> None:
    async with shown(town, database_url) as presence:
        first = await cut_presence(town, presence)

        async def back() -> bool:
            return await presence_held_by(town, presence) not in {None, first}

        await until(back)


def cut_connections(url: str) -> None:
    """What a restart of PostgreSQL does to everybody connected."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """select pg_terminate_backend(pid) from pg_stat_activity
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
    async with asyncio.timeout(20):
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


def chunk_of(channel: str, lane: Lane, *, first: bool = False, rank: float = 0) -> Work:
    return Work(
        1, uuid4(), "deliver", lane, channel, False, 8, 0, 0, 0, 1, 1, -1 if first else rank
    )


async def test_channel_lock_goes_to_the_gravest_chunk_that_waits() -> None:
    locks, order = ChannelLocks(), []
    release = asyncio.Event()
    open_now = most = 0

    async def chunk(name: str, work: Work) -> None:
        nonlocal open_now, most
        async with locks.held(work):
            open_now += 1
            most = max(most, open_now)
            order.append(name)
            await release.wait()
            open_now -= 1

    holder = chunk_of("sms", Lane.ROUTINE)
    async with asyncio.TaskGroup() as group:
        group.create_task(chunk("first", holder))
        await asyncio.sleep(0)
        group.create_task(chunk("drill", chunk_of("sms", Lane.DRILL)))
        group.create_task(chunk("routine", chunk_of("sms", Lane.ROUTINE)))
        assert not locks.wanted(holder, 0.0)
        gone = group.create_task(chunk("gone", chunk_of("sms", Lane.EXTREME)))
        group.create_task(chunk("extreme", chunk_of("sms", Lane.EXTREME)))
        group.create_task(chunk("end", chunk_of("sms", Lane.ROUTINE, first=True)))
        await asyncio.sleep(0)
        assert locks.wanted(chunk_of("sms", Lane.SEVERE), 0.0)
        gone.cancel()
        release.set()
    assert order == ["first", "extreme", "end", "routine", "drill"]
    assert most == 1


async def test_channel_lock_goes_to_another_alert_before_the_next_chunk_of_the_same() -> None:
    locks, order = ChannelLocks(), []
    large, small = chunk_of("sms", Lane.EXTREME, rank=5), chunk_of("sms", Lane.EXTREME, rank=50)
    release = asyncio.Event()

    async def chunk(name: str, work: Work) -> None:
        async with locks.held(work):
            order.append(name)
            await release.wait()

    async with asyncio.TaskGroup() as group:
        for name, work in (("large", large), ("large", large), ("small", small)):
            group.create_task(chunk(name, work))
        await asyncio.sleep(0)
        # Only after a slice does one alert make room for another.
        assert not locks.wanted(large, SLICE_S / 2)
        assert locks.wanted(large, SLICE_S)
        # Sooner for one that comes before its own next chunk.
        assert locks.wanted(replace(large, rank=40.0), SLICE_S / 2)
        release.set()
    assert order == ["large", "small", "large"]


async def test_channel_lock_of_a_silent_channel_holds_up_no_other() -> None:
    locks, silent = ChannelLocks(), asyncio.Event()

    async def hang() -> None:
        async with locks.held(chunk_of("email", Lane.EXTREME)):
            await silent.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(hang())
        await asyncio.sleep(0)
        async with locks.held(chunk_of("sms", Lane.ROUTINE)):
            silent.set()

"""The lock of a channel: who sends next in one process, and who makes room."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from alerting.dispatch.chunks import locks as lock_module
from alerting.dispatch.chunks.locks import SLICE_S, ChannelLocks
from alerting.domain.lane import Lane
from alerting.store.work.outbox import Work


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


async def test_the_cancel_of_a_grave_alert_takes_turns_with_an_extreme() -> None:
    locks, order = ChannelLocks(), []
    extreme, cancel = chunk_of("sms", Lane.EXTREME), chunk_of("sms", Lane.SEVERE, first=True)
    release = asyncio.Event()

    async def chunk(name: str, work: Work) -> None:
        async with locks.held(work):
            order.append(name)
            await release.wait()

    async with asyncio.TaskGroup() as group:
        names = ("extreme", "extreme", "cancel", "cancel", "severe")
        works = (extreme, extreme, cancel, cancel, chunk_of("sms", Lane.SEVERE))
        for name, work in zip(names, works, strict=True):
            group.create_task(chunk(name, work))
        await asyncio.sleep(0)
        assert not locks.wanted(extreme, 0.0)
        assert locks.wanted(extreme, SLICE_S / 2)
        release.set()
    assert order == ["extreme", "cancel", "extreme", "cancel", "severe"]


async def test_a_light_chunk_does_not_wait_behind_an_extreme_for_ever() -> None:
    locks, order = ChannelLocks(), []
    extreme = chunk_of("sms", Lane.EXTREME)
    release = asyncio.Event()

    async def chunk(name: str, work: Work) -> None:
        async with locks.held(work):
            order.append(name)
            await release.wait()

    async with asyncio.TaskGroup() as group:
        names = ("extreme", "extreme", "severe")
        for name, work in zip(names, (extreme, extreme, chunk_of("sms", Lane.SEVERE)), strict=True):
            group.create_task(chunk(name, work))
        await asyncio.sleep(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lock_module, "PATIENCE_S", 0.0)
            assert locks.wanted(extreme, SLICE_S)
            release.set()
            while len(order) < 3:  # noqa: ASYNC110 - raises no event here
                await asyncio.sleep(0)
    assert order == ["extreme", "severe", "extreme"]

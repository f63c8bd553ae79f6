"""The lock of a channel: who sends next in one process, and who lets others go first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from alerting.dispatch.chunks import locks as lock_module
from alerting.dispatch.chunks.locks import ChannelLocks, Turn
from alerting.domain.lane import Lane
from alerting.store.work.outbox import Work


def chunk_of(channel: str, lane: Lane, *, first: bool = False, rank: float = 0) -> Work:
    return Work(
        1, uuid4(), "deliver", lane, channel, False, 8, 0, 0, 0, 1, 1, -1 if first else rank
    )


class Line:
    """Chunks that stand at one channel's lock; each is sent until it passes on or all may end."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.order: list[str] = []
        self.turns: dict[str, Turn] = {}
        self._locks = ChannelLocks()
        self._group = group
        self._told = asyncio.Event()
        self._passing = ""

    async def join(self, name: str, work: Work) -> asyncio.Task[None]:
        task = self._group.create_task(self._stand(name, work))
        await asyncio.sleep(0)
        return task

    async def pass_on(self, name: str) -> None:
        self._passing = name
        self._told.set()
        while self._passing:  # noqa: ASYNC110 - raises no event here
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    def finish(self) -> None:
        self._told.set()

    async def _stand(self, name: str, work: Work) -> None:
        async with self._locks.held(work) as turn:
            self.turns[name] = turn
            self.order.append(name)
            await self._told.wait()
            if self._passing == name:
                self._passing = ""
                self._told.clear()
                await turn.pass_on()
                self.order.append(name)
                await self._told.wait()


@asynccontextmanager
async def at_the_lock() -> AsyncIterator[Line]:
    async with asyncio.TaskGroup() as group:
        line = Line(group)
        yield line
        line.finish()


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Neither a moment nor a slice ever ends, nor anybody's patience."""
    for name in ("SOON_S", "SLICE_S", "PATIENCE_S"):
        monkeypatch.setattr(lock_module, name, float("inf"))
    return monkeypatch


async def test_channel_lock_goes_to_the_most_severe_waiting_chunk(
    times: pytest.MonkeyPatch,
) -> None:
    async with at_the_lock() as line:
        await line.join("first", chunk_of("sms", Lane.ROUTINE))
        await line.join("drill", chunk_of("sms", Lane.DRILL))
        await line.join("routine", chunk_of("sms", Lane.ROUTINE))
        assert not line.turns["first"].is_wanted()
        gone = await line.join("gone", chunk_of("sms", Lane.EXTREME))
        await line.join("extreme", chunk_of("sms", Lane.EXTREME))
        await line.join("end", chunk_of("sms", Lane.ROUTINE, first=True))
        assert line.turns["first"].is_wanted()
        gone.cancel()
    assert line.order == ["first", "extreme", "end", "routine", "drill"]


async def test_chunks_of_one_lane_are_sent_in_the_order_of_their_ranks(
    times: pytest.MonkeyPatch,
) -> None:
    large = chunk_of("sms", Lane.EXTREME, rank=40)
    small = chunk_of("sms", Lane.EXTREME, rank=41)
    async with at_the_lock() as line:
        await line.join("large", large)
        await line.join("large, next", replace(large, rank=70.0))
        await line.join("small", small)
        await line.join("small, next", replace(small, rank=42.5))
    assert line.order == ["large", "small", "small, next", "large, next"]


async def test_new_alert_goes_before_the_rest_of_a_begun_chunk(
    times: pytest.MonkeyPatch,
) -> None:
    large = chunk_of("sms", Lane.EXTREME, rank=40)
    small = chunk_of("sms", Lane.EXTREME, rank=41)
    async with at_the_lock() as line:
        await line.join("large", large)
        await line.join("small", small)
        turn = line.turns["large"]
        assert not turn.is_wanted()
        times.setattr(lock_module, "SOON_S", 0.0)
        assert turn.is_wanted()
        await line.pass_on("large")
        await line.join("small, next", replace(small, rank=42.5))
        # What is left of the large one's stops none that ranks before its next.
        assert not line.turns["small"].is_wanted()
    assert line.order == ["large", "small", "small, next", "large"]


async def test_alert_that_has_begun_waits_for_the_end_of_a_slice(
    times: pytest.MonkeyPatch,
) -> None:
    one, other = chunk_of("sms", Lane.EXTREME, rank=40), chunk_of("sms", Lane.EXTREME, rank=300)
    async with at_the_lock() as line:
        await line.join("one", one)
        await line.join("other", other)
        times.setattr(lock_module, "SOON_S", 0.0)
        assert not line.turns["one"].is_wanted()
        times.setattr(lock_module, "SLICE_S", 0.0)
        assert line.turns["one"].is_wanted()


async def test_chunk_is_never_stopped_for_another_of_its_alert(times: pytest.MonkeyPatch) -> None:
    large = chunk_of("sms", Lane.EXTREME, rank=40)
    times.setattr(lock_module, "SOON_S", 0.0)
    times.setattr(lock_module, "SLICE_S", 0.0)
    async with at_the_lock() as line:
        await line.join("large", large)
        await line.join("large, before", replace(large, rank=10.0))
        assert not line.turns["large"].is_wanted()


async def test_two_large_alerts_alternate_by_slices(times: pytest.MonkeyPatch) -> None:
    times.setattr(lock_module, "SLICE_S", 0.0)
    locks, order = ChannelLocks(), []

    async def chunk(name: str, work: Work) -> None:
        async with locks.held(work) as turn:
            for _ in range(3):
                order.append(name)
                await asyncio.sleep(0)
                if turn.is_wanted():
                    await turn.pass_on()

    async with asyncio.TaskGroup() as group:
        group.create_task(chunk("one", chunk_of("sms", Lane.EXTREME, rank=40)))
        group.create_task(chunk("other", chunk_of("sms", Lane.EXTREME, rank=300)))
    assert order == ["one", "other"] * 3


async def test_channel_lock_of_silent_channel_blocks_no_other() -> None:
    locks, silent = ChannelLocks(), asyncio.Event()

    async def hang() -> None:
        async with locks.held(chunk_of("email", Lane.EXTREME)):
            await silent.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(hang())
        await asyncio.sleep(0)
        async with locks.held(chunk_of("sms", Lane.ROUTINE)):
            silent.set()


async def test_cancel_of_a_grave_alert_alternates_with_an_extreme(
    times: pytest.MonkeyPatch,
) -> None:
    extreme, cancel = chunk_of("sms", Lane.EXTREME), chunk_of("sms", Lane.SEVERE, first=True)
    async with at_the_lock() as line:
        for name, work in (
            ("extreme", extreme),
            ("extreme, next", extreme),
            ("cancel", cancel),
            ("cancel, next", cancel),
            ("severe", chunk_of("sms", Lane.SEVERE)),
        ):
            await line.join(name, work)
        assert not line.turns["extreme"].is_wanted()
        times.setattr(lock_module, "SOON_S", 0.0)
        assert line.turns["extreme"].is_wanted()
    assert line.order == ["extreme", "cancel", "extreme, next", "cancel, next", "severe"]


async def test_light_chunk_does_not_wait_behind_an_extreme_for_ever(
    times: pytest.MonkeyPatch,
) -> None:
    extreme = chunk_of("sms", Lane.EXTREME)
    async with at_the_lock() as line:
        for name in ("extreme", "extreme, next"):
            await line.join(name, extreme)
        await line.join("severe", chunk_of("sms", Lane.SEVERE))
        times.setattr(lock_module, "PATIENCE_S", 0.0)
        times.setattr(lock_module, "SOON_S", 0.0)
        assert line.turns["extreme"].is_wanted()
        line.finish()
        while len(line.order) < 3:  # noqa: ASYNC110 - raises no event here
            await asyncio.sleep(0)
    assert line.order == ["extreme", "severe", "extreme, next"]

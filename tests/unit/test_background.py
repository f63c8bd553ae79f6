"""Work beside other work ends with the block it goes on beside."""

from __future__ import annotations

import asyncio

import pytest

from alerting import background
from alerting.background import background_task, end


class Deaf:
    """Loses the first cancel, as `asyncio.wait_for` does before Python 3.12 when its wait ends in
    the same turn."""

    def __init__(self) -> None:
        self.lost = 0

    async def work(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.lost:
                    raise
                self.lost += 1


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_AGAIN_S", 0.01)


async def test_lost_cancel_does_not_block_the_end() -> None:
    deaf = Deaf()
    async with asyncio.timeout(60), background_task(deaf.work()):
        await asyncio.sleep(0)
    assert deaf.lost == 1


async def test_all_tasks_end_whatever_each_raises() -> None:
    async def fail() -> None:
        raise OSError("away")

    deaf = Deaf()
    tasks = [asyncio.create_task(deaf.work()), asyncio.create_task(fail())]
    await asyncio.sleep(0)
    await end(*tasks)
    assert tasks[0].cancelled()
    assert isinstance(tasks[1].exception(), OSError)


async def test_work_error_is_raised_at_the_end() -> None:
    async def fail() -> None:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        async with background_task(fail()):
            await asyncio.sleep(0)

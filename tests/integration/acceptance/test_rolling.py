"""Everything is restarted in turn while an alert goes out: nothing is lost, doubled or in doubt."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from alerting.bootstrap import Runtime
from alerting.cli.up import running
from alerting.demo.run import demo_settings, run
from alerting.dispatch.status import AlertStatus
from alerting.embedded.supervisor import Supervisor
from alerting.settings import Settings
from alerting.store.ledger import delivery_queries

EXAMPLE = (Path(__file__).parents[3] / "examples" / "flood.xml").read_bytes()

#: Terminated one after another; the supervisor starts each again.
IN_TURN = ("fast", "bulk", "fast", "scheduler", "api")


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    # A lease longer than the test: what a worker does not give back itself would hang.
    own = Settings(var=tmp_path, lease_s=120, window=16, chunk_size=200, sweep_s=1, workers=2)
    return demo_settings(own)


class Roll:
    """Terminates one process after another, each when the one before works again."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._begun = asyncio.Event()
        self.ended: list[str] = []

    def progress(self, found: AlertStatus) -> None:
        if sum(c.accepted for c in found.channels.values()) >= 300:
            self._begun.set()

    async def go(self) -> None:
        await self._begun.wait()
        for name in IN_TURN:
            old = self._supervisor.pid(name)
            assert old is not None
            # As a container's or systemd's stop: to the process, which tells its children.
            os.kill(old, signal.SIGTERM)
            async with asyncio.timeout(60):
                while self._supervisor.pid(name) in {old, None}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            self.ended.append(name)


async def slow_down(config: Settings) -> None:
    """Make every message take a while, so that there is a middle."""
    url = f"http://{config.local_host}:{config.sandbox_port}/sandbox/faults"
    slow = {"latency_ms": 80}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"sms": slow, "email": slow, "push": slow}) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def test_rolling_restart_loses_and_duplicates_nothing(config: Settings) -> None:
    async with running(config, quiet=True) as supervisor:
        await slow_down(config)
        roll = Roll(supervisor)
        rolling = asyncio.create_task(roll.go())
        result = await asyncio.wait_for(
            run(config, EXAMPLE, citizens=5000, seed=5, say=lambda _: None, progress=roll.progress),
            timeout=150,
        )
        assert "fast" in roll.ended, "the alert was over before a restart"
        await asyncio.wait_for(rolling, timeout=120)
        async with Runtime.open(config) as runtime, runtime.db.begin() as connection:
            rows = await delivery_queries.page(connection, result.status.id, after=0, limit=100_000)
    judged = result.judgement
    assert judged.expected > 2000
    assert (judged.lost, judged.duplicates, judged.unexpected) == (0, 0, 0)
    assert not any(r["possible_duplicate"] for r in rows)
    assert {r["state"] for r in rows} <= {"accepted", "delivered"}
    assert all(r["tries"] == 1 for r in rows)

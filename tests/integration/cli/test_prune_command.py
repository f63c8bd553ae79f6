"""`alerting prune` as it is typed, what is said of a pruned alert, and the scheduler's part."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import click
import psycopg
import pytest
from click.testing import CliRunner

from alerting.bootstrap import Runtime
from alerting.cli import cli, serve
from alerting.dispatch.prune import Pruned
from alerting.errors import AlertingError
from alerting.settings import settings
from alerting.store.schema import CHUNK_SPAN

Run = Callable[..., tuple[int, str]]

#: Days ago an alert ended, and how many deliveries it has.
AGES = {"ancient": (1000, 30), "old": (401, 20), "young": (399, 10)}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str, operator: str) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def typed(*words: str) -> tuple[int, str]:
        settings.cache_clear()
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        if isinstance(done.exception, AlertingError):
            return done.exception.exit_code, str(done.exception)
        if isinstance(done.exception, click.ClickException):
            return 2, done.exception.format_message()
        if done.exception is not None:
            raise done.exception
        return done.return_value, done.stdout

    return typed


@pytest.fixture
def ledger(database_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """An alert of each age, told by SMS."""
    connection = psycopg.connect(database_url, autocommit=True)
    for name, (days, count) in AGES.items():
        connection.execute(
            """with a as (
                 insert into alert (id, sender, identifier, sent_at, status, msg_type, scope, lane,
                   thread_id, event_id, document, source, source_hash, state, expires_at,
                   submitted_by, submitted_at, finished_at)
                 select i, 's', %(name)s, t, 'Actual', 'Alert', 'Public', 'routine', i, i, '{}', '',
                   '', 'completed', t, 'test', t, t
                 from (select gen_random_uuid() as i, now() - make_interval(days => %(days)s) as t)
                 returning id, sent_at),
               o as (
                 insert into outbox (alert_id, kind, lane, channel, size, state, done_at)
                 select id, 'deliver', 'routine', 'sms', %(count)s, 'done', sent_at from a
                 returning id, alert_id)
               insert into delivery (id, alert_id, citizen_id, address_id, channel, info_no,
                 area_no, state)
               select o.id * %(span)s + n, alert_id, n, n, 'sms', 0, 0, 'delivered'
               from o, generate_series(0, %(count)s - 1) as n""",
            {"name": name, "days": days, "count": count, "span": CHUNK_SPAN},
        )
    yield connection
    connection.close()


def left(ledger: psycopg.Connection[tuple[Any, ...]]) -> set[str]:
    found = ledger.execute(
        "select distinct identifier from alert a join delivery d on d.alert_id = a.id"
    )
    return {row[0] for row in found}


def test_prune_dry_run_then_real(run: Run, ledger: psycopg.Connection[tuple[Any, ...]]) -> None:
    code, out = run("prune", "--dry-run")
    assert code == 0
    assert "ancient: 30 deliveries\n" in out
    assert out.endswith(
        "Would delete 50 deliveries of 2 alerts in 2 events that ended more than 400 days ago. "
        "Nothing was changed.\n"
    )
    assert left(ledger) == set(AGES)
    code, out = run("prune", "--older-than", "500", "--json")
    found = json.loads(out)
    assert (code, found["older_than_days"], found["deliveries"]) == (0, 500, 30)
    assert [e["first"] for e in found["events"]] == ["ancient"]
    assert left(ledger) == {"old", "young"}
    code, out = run("prune")
    assert code == 0
    assert "Deleted 20 deliveries and 0 receipts of 1 alerts in 1 events" in out
    assert left(ledger) == {"young"}
    assert run("prune") == (
        0,
        "Deleted 0 deliveries and 0 receipts of 0 alerts in 0 events that ended more than 400 days "
        "ago, and 0 closed alarms.\n",
    )


def test_prune_counts_what_is_in_use(run: Run, ledger: psycopg.Connection[tuple[Any, ...]]) -> None:
    ledger.execute("update delivery set state = 'in_doubt' where id % 1024 = 25")
    code, out = run("prune")
    assert code == 0
    assert out.endswith("1 events as old are still in use and stay.\n")
    assert left(ledger) == {"ancient", "young"}


@pytest.mark.usefixtures("ledger")
def test_pruned_alert_has_a_summary(run: Run) -> None:
    assert run("status", "old")[0] == 0
    assert run("prune")[0] == 0
    for words in (("status", "old"), ("why", "old", "A-1"), ("cancel", "old")):
        code, out = run(*words)
        assert code == 2, words
        assert "The deliveries of alert old were pruned on 2" in out
        assert "UTC. It was completed; of its 20 deliveries there were: sms 20 delivered." in out
    assert run("status", "young")[0] == 0


def test_prune_refuses_bad_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("prune", "--older-than", "0")[0] == 2
    assert run("prune", "--older-than", "x")[0] == 2
    monkeypatch.setenv("ALERTING_RETENTION_DAYS", "0")
    code, out = run("prune")
    assert code == 2
    assert "ALERTING_RETENTION_DAYS is 0: nothing is ever deleted." in out
    assert "--older-than DAYS" in out
    assert run("prune", "--older-than", "1")[0] == 0
    monkeypatch.setenv("ALERTING_RETENTION_DAYS", "-1")
    code, out = run("prune")
    assert code == 2
    assert "retention_days" in out.lower()


async def test_scheduler_prunes_daily(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, str]] = []
    waits: list[float] = []
    twice = asyncio.Event()

    class Prunes:
        def pruner(self) -> Prunes:
            return self

        async def run(self, days: int, *, actor: str) -> Pruned:
            asked.append((days, actor))
            if len(asked) == 1:
                raise psycopg.OperationalError
            return Pruned(dry_run=False)

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            twice.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(serve.asyncio, "sleep", wait)
    runtime = cast(Runtime, Prunes())
    await serve._keep_pruned(runtime, 0)
    assert asked == []
    task = asyncio.create_task(serve._keep_pruned(runtime, 30))
    await twice.wait()
    task.cancel()
    assert asked == [(30, "scheduler")] * 2
    # Soon again after a fault, else the next day.
    assert waits == [serve._AGAIN_S, serve._DAY_S]

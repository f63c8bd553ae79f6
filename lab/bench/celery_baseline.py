"""A Celery task a message, from the first one queued to the last row written."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from celery import Celery

from alerting.embedded import child, engines
from alerting.embedded.wait import until
from alerting.settings import for_kombu

_TABLE = "create table baseline (id bigint primary key, recipient text, state text, ref text)"

#: Processes of its worker.
PROCESSES = 8


def seconds(folder: Path, task: str, provider: str, recipients: Sequence[str], text: str) -> float:
    """How long `baselines.celery_each` takes to send this text to all of them by its task.

    Args:
        provider: The address the task calls. The first recipient gets one message more, which warms
            the worker up before the clock starts.
    """
    with (
        engines.start(folder / "var") as running,
        psycopg.connect(running.database_url, autocommit=True) as db,
    ):
        db.execute(_TABLE)
        worker = child.start(
            (
                sys.executable, "-m", "celery", "-A", "lab.bench.baselines.celery_each",
                "worker", "-c", str(PROCESSES), "-l", "ERROR", "--without-gossip",
                "--without-mingle", "--without-heartbeat",
            ),
            log=folder / "worker.log",
            env=os.environ | {
                "BASELINE_PROVIDER_URL": provider,
                "BASELINE_DATABASE_URL": running.database_url,
                "BASELINE_BROKER_URL": for_kombu(running.redis_url),
            },
        )  # fmt: skip
        try:
            return _enqueue(
                Celery("baseline", broker=for_kombu(running.redis_url)), db, task, recipients, text
            )
        finally:
            child.stop(worker, signal.SIGTERM, 10)


def _enqueue(
    app: Celery,
    db: psycopg.Connection[tuple[object, ...]],
    task: str,
    recipients: Sequence[str],
    text: str,
) -> float:
    def sent() -> int:
        row = db.execute("select count(*) from baseline where state = 'sent'").fetchone()
        return int(str(row[0])) if row else 0

    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        app.send_task(task, (-1, recipients[0], text), queue="baseline", producer=producer)
        until(lambda: sent() == 1, timeout_s=60, what="Celery's worker to start")
        db.execute("delete from baseline")
        start = time.perf_counter()
        for n, to in enumerate(recipients):
            app.send_task(task, (n, to, text), queue="baseline", producer=producer)
    until(lambda: sent() == len(recipients), timeout_s=600, what="every task to be done")
    return time.perf_counter() - start

"""A Celery task a message with priorities, for the bench of overtaking."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
from celery import Celery

from alerting.embedded import child, engines
from alerting.embedded.wait import until
from alerting.errors import WorkFailed
from alerting.settings import for_kombu
from lab.bench.baselines.celery_lanes import GRAVEST, LIGHTEST, OPTIONS
from lab.bench.overtake.subject import Flight, Passage
from lab.bench.population import District, districts
from lab.bench.stubs.clocked import Clocked, clocked

#: About as long as ours.
_TEXT = "Port Example Emergency Centre: Storm surge: leave the waterfront now. Go uphill on foot."

_MOST_S = 600.0


@dataclass(frozen=True, slots=True)
class _Baseline:
    app: Celery
    db: psycopg.Connection[object]
    stub: Clocked

    def publish(self, district: District, priority: int) -> None:
        """A task for everybody there, as fast as one producer does it."""
        with (
            self.app.connection_for_write() as connection,
            self.app.amqp.Producer(connection) as producer,
        ):
            for n in district.numbers:
                self.app.send_task(
                    "baseline.send",
                    (n, f"+999{n:09d}", _TEXT),
                    queue="baseline",
                    priority=priority,
                    producer=producer,
                )

    def done(self, district: District) -> bool:
        return self.has_sent(district, district.count)

    def has_sent(self, district: District, least: int) -> bool:
        row = self.db.execute(
            "select count(*) from baseline where state = 'sent' and id between %s and %s",
            (district.first, district.first + district.count - 1),
        ).fetchone()
        return isinstance(row, tuple) and int(str(row[0])) >= least


def fly_baseline(flight: Flight, say: Callable[[str], None]) -> list[Passage]:
    """Its passages. Raises WorkFailed where an Extreme's message is missing or doubled, or where
    nothing was left of the light ones while the last Extreme was sent."""
    count = flight.before + len(flight.background_task) + flight.after
    warm, *places = districts([1, *[flight.grave] * count, flight.light])
    graves, light = places[:-1], places[-1]
    sent: list[tuple[District, float, bool]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with _baseline(Path(name)) as baseline:
            baseline.publish(warm, GRAVEST)
            until(lambda: baseline.done(warm), timeout_s=60, what="Celery's worker to start")

            def grave(loaded: bool) -> None:
                place = graves[len(sent)]
                sent.append((place, time.time(), loaded))
                baseline.publish(place, GRAVEST)
                until(lambda: baseline.done(place), timeout_s=_MOST_S, what="tasks", period_s=0.1)

            say(f"  a Celery task a message: {flight.grave:,} on idle workers …")
            for _ in range(flight.before):
                grave(loaded=False)
            baseline.publish(light, LIGHTEST)
            for n in flight.background_task:
                until(partial(baseline.has_sent, light, n), timeout_s=_MOST_S, what="light tasks")
                say(f"  … and while {flight.light:,} light tasks wait …")
                grave(loaded=True)
            if baseline.done(light):
                raise WorkFailed("The light tasks were done before the last grave one.")
            baseline.app.control.purge()
            for _ in range(flight.after):
                grave(loaded=False)
            stub = baseline.stub
        taken = stub.taken()
    log = Counter(t.number for t in taken)
    wrong = sum(log[n] != 1 for place in graves for n in place.numbers)
    if wrong or any(n > 1 for n in log.values()):
        raise WorkFailed(f"{wrong:,} of the other's grave messages were taken never or twice.")
    passages = []
    for place, at_s, loaded in sent:
        times = tuple(t.at_s - at_s for t in taken if t.number in place.numbers)
        beside = sum(0 <= t.at_s - at_s <= times[-1] and t.number in light.numbers for t in taken)
        passages.append(Passage(loaded, times, beside / times[-1]))
    return passages


@contextmanager
def _baseline(folder: Path) -> Iterator[_Baseline]:
    """Engines of its own, its worker and the stand-in."""
    with (
        clocked(folder / "nginx") as stub,
        engines.start(folder / "var") as running,
        psycopg.connect(running.database_url, autocommit=True) as db,
    ):
        db.execute(
            "create table baseline (id bigint primary key, recipient text, state text, ref text)"
        )
        worker = child.start(
            (
                sys.executable, "-m", "celery", "-A", "lab.bench.baselines.celery_lanes",
                "worker", "-c", "8", "-l", "ERROR", "--without-gossip", "--without-mingle",
                "--without-heartbeat",
            ),
            log=folder / "worker.log",
            env=os.environ | {
                "BASELINE_PROVIDER_URL": stub.url,
                "BASELINE_DATABASE_URL": running.database_url,
                "BASELINE_BROKER_URL": for_kombu(running.redis_url),
            },
        )  # fmt: skip
        app = Celery("baseline", broker=for_kombu(running.redis_url))
        app.conf.update(task_default_queue="baseline", broker_transport_options=OPTIONS)
        try:
            yield _Baseline(app, db, stub)
        finally:
            child.stop(worker, signal.SIGTERM, 10)
            app.close()

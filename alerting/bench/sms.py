"""SMS from end to end: submitted, planned, judged, sent, and every delivery in the ledger.

Beside it a Celery task for each message with Twilio's synchronous client, and a bare loop that
only posts. All against nginx, which answers 201 and logs what it took; all on this machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psycopg
from pydantic import SecretStr

from alerting.bench.report import Options, Report, Table, Target
from alerting.bench.standin import StandIn, twilio
from alerting.bench.whole_way import machine, send_one, town
from alerting.embedded import child, engines
from alerting.embedded.wait import until
from alerting.errors import WorkFailed
from alerting.settings import Settings

#: About as long as ours.
TEXT = "Port Example Emergency Centre: Storm surge: leave the waterfront now. Go uphill on foot."

OURS, EACH, BARE = "ours", "a Celery task a message", "bare aiohttp loop"


@dataclass(frozen=True, slots=True)
class Sizes:
    ours: int
    each: int
    bare: int
    rounds: int


FULL = Sizes(100_000, 5_000, 100_000, 3)
QUICK = Sizes(300, 60, 300, 1)


@dataclass(slots=True)
class Rates:
    """Messages a second of each way, round by round."""

    of: dict[str, list[float]] = field(default_factory=lambda: {OURS: [], EACH: [], BARE: []})

    def median(self, name: str) -> float:
        return statistics.median(self.of[name])

    def spread(self, name: str) -> str:
        return f"{min(self.of[name]):,.0f}–{max(self.of[name]):,.0f}"


def run(options: Options) -> Report:
    """Measure in rounds, each way once in a round. Raises WorkFailed where a message is missing or
    doubled, in the provider's log or in the ledger: then no figure is worth anything."""
    sizes = QUICK if options.quick else FULL
    rates = Rates()
    for n in range(sizes.rounds):
        options.say(f"Round {n + 1} of {sizes.rounds}: {OURS}, {sizes.ours:,} messages …")
        rates.of[OURS].append(_ours(sizes.ours))
        options.say(f"  {EACH}, {sizes.each:,} messages …")
        rates.of[EACH].append(_each(sizes.each))
        options.say(f"  {BARE}, {sizes.bare:,} messages …")
        rates.of[BARE].append(_bare(sizes.bare))
    return _report(rates, sizes)


def _ours(count: int) -> float:
    citizens = town(count, "sms", seed=1)

    async def once(folder: Path, standin: StandIn) -> float:
        settings = Settings(
            var=folder / "var",
            carriers="real",
            twilio_base_url=standin.url,
            twilio_account_sid="AC" + "0" * 32,
            twilio_auth_token=SecretStr("x"),
            twilio_from="+447700900000",
            public_url="http://127.0.0.1:9",
            # Nothing comes back from nginx, and nobody shall be told another way for that.
            receipt_severe_s=0,
        )
        async with machine(settings, lanes="extreme,severe,routine,drill") as config:
            done = await send_one(config, citizens)
        if done.messages != count:
            raise WorkFailed(f"The ledger has {done.messages:,} accepted of {count:,}.")
        return done.per_second

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with twilio(folder / "nginx") as standin:
            rate = asyncio.run(once(folder, standin))
        _judge(standin, {c.endpoints["sms"] for c in citizens})
    return rate


def _each(count: int) -> float:
    numbers = [f"+999{n:09d}" for n in range(count)]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with (
            twilio(folder / "nginx") as standin,
            engines.start(folder / "var") as running,
            psycopg.connect(running.database_url, autocommit=True) as db,
        ):
            db.execute(
                "create table peer (id bigint primary key, recipient text, state text, ref text)"
            )
            env = os.environ | {
                "PEER_PROVIDER_URL": standin.url,
                "PEER_DATABASE_URL": running.database_url,
                "PEER_BROKER_URL": running.redis_url,
            }
            worker = child.start(
                (
                    sys.executable, "-m", "celery", "-A", "alerting.bench.peers.celery_each",
                    "worker", "-c", "8", "-l", "ERROR", "--without-gossip", "--without-mingle",
                    "--without-heartbeat",
                ),
                log=folder / "worker.log",
                env=env,
            )  # fmt: skip
            try:
                seconds = _enqueue(env, numbers, db)
            finally:
                child.stop(worker, signal.SIGTERM, 10)
        _judge(standin, set(numbers))
    return count / seconds


def _enqueue(env: dict[str, str], numbers: list[str], db: psycopg.Connection[object]) -> float:
    """Queue every message and wait for the last row; the seconds from the first of it."""
    from celery import Celery

    app = Celery("peer", broker=env["PEER_BROKER_URL"])

    def sent() -> int:
        row = db.execute("select count(*) from peer where state = 'sent'").fetchone()
        return int(str(row[0])) if isinstance(row, tuple) else 0

    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        # Its worker is up and warm before the clock starts.
        app.send_task("peer.send", (-1, numbers[0], TEXT), queue="peer", producer=producer)
        until(lambda: sent() == 1, timeout_s=60, what="Celery's worker to start")
        db.execute("delete from peer")
        start = time.perf_counter()
        for n, to in enumerate(numbers):
            app.send_task("peer.send", (n, to, TEXT), queue="peer", producer=producer)
    until(lambda: sent() == len(numbers), timeout_s=600, what="every task to be done")
    return time.perf_counter() - start


def _bare(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with twilio(Path(name) / "nginx") as standin:
            done = subprocess.run(
                [sys.executable, "-m", "alerting.bench.peers.bare_http",
                 standin.url, str(count), "64", TEXT],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
        _judge(standin, {f"+999{n:09d}" for n in range(count)})
    return count / float(done.stdout)


def _judge(standin: StandIn, expected: set[str]) -> None:
    """Every message once in the provider's log, but the one that warmed a worker up."""
    taken = Counter(standin.taken())
    doubled = sum(n - 1 for n in taken.values())
    if taken.keys() != expected or doubled > 1:
        raise WorkFailed(
            f"The provider took {len(taken):,} of {len(expected):,} messages, {doubled:,} twice."
        )


def _report(rates: Rates, sizes: Sizes) -> Report:
    ours = rates.median(OURS)
    rows: list[tuple[str, ...]] = [
        (
            name,
            f"{rates.median(name):,.0f}",
            rates.spread(name),
            f"{ours / rates.median(name):.2f}×",
        )
        for name in (OURS, EACH, BARE)
    ]
    sdk, celery, http = (version(name) for name in ("twilio", "celery", "aiohttp"))
    return Report(
        tables=[Table("SMS, from submission to the ledger", _COLUMNS, rows)],
        targets=[
            Target("times a Celery task a message", 12, ours / rates.median(EACH), unit="×"),
            Target("of a bare aiohttp loop", 0.6, ours / rates.median(BARE), unit="×"),
        ],
        figures={"per_second": rates.of, "messages": {OURS: sizes.ours, EACH: sizes.each}},
        notes=[
            f"twilio {sdk}, celery {celery}, aiohttp {http}; nginx stands in. Two worker "
            "processes of ours, eight of the other's, one of the loop's.",
        ],
    )


_COLUMNS = ("way", "messages a second", "rounds", "ours beside it")

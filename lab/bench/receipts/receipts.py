"""Signed status callbacks at the real API: how many a second, none lost by kill -9, and applied.

A carrier posts from a process of its own and keeps the list of those that were answered, which is
the judge: what it got a 2xx for must be in the table. Everything, the carrier and PostgreSQL
too, shares this machine.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from alerting.embedded import child, engines
from alerting.embedded.wait import until
from alerting.errors import WorkFailed
from alerting.settings import Settings
from alerting.store.migrate import migrate
from lab.bench.receipts.client import Book, Callback, Job, post_all
from lab.bench.receipts.report import Applied, Killed, report
from lab.bench.report import Options, Report

API = ("-m", "alerting.cli", "serve")
PLAIN = ("-m", "lab.bench.receipts.plain")
SCHEDULER = ("-m", "alerting.cli", "scheduler")

_ALERT = UUID(int=1)
#: Deliveries' numbers begin here, as those of a first chunk do.
_FIRST = 1024
#: How long applying may take after the last callback before it counts as stuck.
_APPLY_S = 120.0

_DELIVERIES = """
    insert into delivery (id, alert_id, citizen_id, address_id, channel, info_no, area_no, state,
                          provider_ref, accepted_at, settled_at)
    select n, %(alert)s, n, n, 'sms', 0, 0,
           case when n %% 10 = 0 then 'planned' else 'accepted' end,
           case when n %% 10 = 0 then '' else 'SM' || lpad(to_hex(n), 32, '0') end,
           case when n %% 10 = 0 then null else now() end,
           case when n %% 10 = 0 then null else now() end
    from generate_series(%(first)s::int8, %(last)s) as n"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many callbacks each part posts, and about how many deliveries the last does."""

    plain: int
    subject: int
    killed: int
    deliveries: int


FULL = Sizes(6_000, 40_000, 40_000, 100_000)
QUICK = Sizes(40, 200, 2_000, 300)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where everything is.

    Attributes:
        settings: As each process reads them.
    """

    settings: Settings
    folder: Path

    @property
    def url(self) -> str:
        return f"{self.settings.public_url}/webhooks/twilio/status"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return child.start(
            (sys.executable, *arguments),
            log=self.folder / f"{arguments[1]}.log",
            env={**os.environ, **self.settings.to_environment()},
        )

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process that listens on the API's port while the block lasts."""
        process = self.start(*arguments)
        try:
            self.wait()
            yield process
        finally:
            child.stop(process, signal.SIGTERM, 20)

    def wait(self) -> None:
        until(self._listens, timeout_s=60, what="the API to listen")

    def _listens(self) -> bool:
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.settings.port)) == 0

    def query(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []


def run(options: Options) -> Report:
    """Measure everything. Takes about two minutes; seconds when quick."""
    sizes = QUICK if options.quick else FULL
    say = options.say
    with tempfile.TemporaryDirectory(prefix="alerting-") as name:
        folder = Path(name)
        # PostgreSQL drops root's rights and has to get in.
        folder.chmod(0o755)
        with _machine(folder) as machine:
            say("One insert and commit for each callback …")
            with machine.serving(*PLAIN):
                plain = post(machine, _simple(sizes.plain, "plain"))
            say("The API …")
            with machine.serving(*API):
                subject = post(machine, _simple(sizes.subject, "ours"))
            say("The API, killed by kill -9 in the middle and started again …")
            killed = _killed(machine, sizes.killed)
            say(f"The API and the scheduler, {sizes.deliveries:,} deliveries …")
            applied = _applied(machine, sizes.deliveries)
    return report(plain, subject, killed, applied)


@contextmanager
def _machine(folder: Path) -> Iterator[Machine]:
    with engines.start(folder / "var") as running:
        migrate(running.database_url)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        settings = Settings(
            var=folder / "var",
            database_url=running.database_url,
            redis_url=running.redis_url,
            broker_url=running.redis_url,
            port=port,
            public_url="",
            log_level="WARNING",
        )
        yield Machine(settings, folder)


def _simple(count: int, name: str) -> list[Callback]:
    """Callbacks that nothing is known of; each part has its own."""
    return [Callback(n, f"{name}{n}", "delivered") for n in range(count)]


def post(
    machine: Machine,
    callbacks: Sequence[Callback],
    *,
    at_half: Callable[[], None] = lambda: None,
) -> Book:
    """Let the carrier post them all; `at_half` is called once half of them are answered."""
    # Not forked: the carrier starts as a process of its own, with nothing of this one.
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    carrier = spawn.Process(
        target=post_all, args=(Job(machine.url, list(callbacks)), there), daemon=True
    )
    carrier.start()
    there.close()
    try:
        struck = False
        while True:
            said = here.recv()
            if isinstance(said, Book):
                return said
            if not struck and said >= len(callbacks) / 2:
                struck = True
                at_half()
    except EOFError as e:
        raise WorkFailed("The carrier that posts the callbacks ended early.") from e
    finally:
        carrier.join()


def _killed(machine: Machine, count: int) -> Killed:
    machine.query("truncate receipt")
    callbacks = _simple(count, "killed")
    process = machine.start(*API)
    second: list[subprocess.Popen[bytes]] = []
    killed_at = 0.0

    def kill() -> None:
        nonlocal killed_at
        killed_at = time.monotonic()
        process.kill()
        process.wait()
        second.append(machine.start(*API))

    try:
        machine.wait()
        book = post(machine, callbacks, at_half=kill)
    finally:
        for one in (process, *second):
            child.stop(one, signal.SIGTERM, 20)
    kept = {row[0] for row in machine.query("select delivery_id from receipt")}
    lost = sum(callbacks[n].delivery_id not in kept for n in book.answered)
    before = sum(at < killed_at for at in book.at_s)
    return Killed(before, book.broken, book.longest_gap_s(), len(kept), lost)


def _applied(machine: Machine, count: int) -> Applied:
    machine.query("truncate receipt")
    machine.query("truncate delivery")
    last = _FIRST + count - 1
    machine.query(_DELIVERIES, alert=_ALERT, first=_FIRST, last=last)
    callbacks, ends = _course(range(_FIRST, last + 1))
    with machine.serving(*API):
        scheduler = machine.start(*SCHEDULER)
        try:
            book = post(machine, callbacks)
            until(
                lambda: not machine.query("select 1 from receipt where applied_at is null limit 1"),
                timeout_s=_APPLY_S,
                what="the receipts to be applied",
            )
            done_s = time.monotonic()
        finally:
            child.stop(scheduler, signal.SIGTERM, 20)
    states = dict(machine.query("select id, state from delivery"))
    return Applied(
        len(callbacks),
        count,
        book.per_second(),
        len(callbacks) / (done_s - book.at_s[0]),
        done_s - book.at_s[-1],
        sum(states.get(id_) != state for id_, state in ends.items()),
    )


def _course(ids: Sequence[int]) -> tuple[list[Callback], dict[int, str]]:
    """What is reported of these deliveries, and the state each must come to.

    Of every fifth `sent` comes as well, before or after; one of twenty comes twice; one of a
    hundred could not be reached, which the last word says.
    """
    dice = random.Random(1)  # noqa: S311 - has to be repeatable, guards nothing
    callbacks, ends = [], {}
    for n in ids:
        ref = f"SM{n:032x}"
        last = Callback(n, ref, "delivered")
        if n % 100 == 0:
            last = Callback(n, ref, "undelivered", "30003")
        ends[n] = "failed" if last.code else "delivered"
        callbacks.append(last)
        if n % 5 == 0:
            callbacks.append(Callback(n, ref, "sent"))
        if n % 20 == 0:
            callbacks.append(last)
    dice.shuffle(callbacks)
    return callbacks, ends

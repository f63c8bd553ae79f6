"""Email from end to end: submitted, planned, judged, made for each citizen, sent, and noted.

Beside it a Celery task for each mail that calls `aiosmtplib.send` between two writes, bare loops of
`aiosmtplib.send`, Apprise without its throttle, and Postfix's smtp-source, which says the same
words to the relay as fast as they can be said. All against Postfix's smtp-sink, which keeps every
mail.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alerting.errors import WorkFailed
from alerting.settings import Settings
from lab.bench import celery_baseline
from lab.bench.report import Options, Report, Target
from lab.bench.rounds import SUBJECT, Rounds, Way, measure
from lab.bench.stubs.sink import Sink, program, smtp_sink
from lab.bench.whole_way import machine, send_one, town

TASK = "a Celery task a mail"
ONE, MANY = "aiosmtplib.send, one at a time", "aiosmtplib.send, sixteen at once"
APPRISE, SOURCE = "Apprise, its throttle at zero", "Postfix smtp-source"

#: Of ours. One more than processors: while one waits for its commit or the relay, others send.
WORKERS = 3

#: Connections of each of ours, of the sixteen at once, and of smtp-source.
SESSIONS = 16

#: About the size of the product's mails, headers and both parts included; smtp-source sends the
#: same.
MAIL_BYTES = 2_600
TEXT = "Port Example Emergency Centre: leave the waterfront now. Go uphill on foot.\n" * 25


def run(options: Options) -> Report:
    """Measure in rounds, each way once in a round.

    Raises WorkFailed where a mail is missing or doubled, in the relay's own record or in the
    ledger: no figure is valid then.
    """
    subject, each, rounds = (300, 60, 1) if options.quick else (50_000, 2_000, 3)
    ways = [
        Way(SUBJECT, subject, _subject),
        Way(TASK, each, _task),
        Way(MANY, each, partial(_module, "smtp_each", str(SESSIONS))),
        Way(ONE, each, partial(_module, "smtp_each", "1")),
        Way(SOURCE, subject, _source),
    ]
    if _apprise():
        ways.insert(-1, Way(APPRISE, each // 2, partial(_module, "apprise_mail")))
    return _report(measure(ways, rounds, options.say), ways)


def _subject(count: int) -> float:
    citizens = town(count, "email", seed=1)

    async def once(folder: Path, sink: Sink) -> float:
        settings = Settings(
            var=folder / "var",
            carriers="real",
            workers=WORKERS,
            smtp_host="127.0.0.1",
            smtp_port=sink.port,
            smtp_tls="none",
            smtp_connections=SESSIONS,
            public_url="http://127.0.0.1:9",
        )
        async with machine(settings, lanes="extreme,severe,routine,drill") as config:
            done = await send_one(config, citizens)
        if done.messages != count:
            raise WorkFailed(f"The ledger has {done.messages:,} accepted of {count:,}.")
        return done.per_second

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with smtp_sink(Path(name) / "sink") as sink:
            rate = asyncio.run(once(Path(name), sink))
        _judge(sink, {c.endpoints["email"] for c in citizens})
    return rate


def _task(count: int) -> float:
    addresses = [f"c{n}@example.org" for n in range(count)]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with smtp_sink(folder / "sink") as sink:
            where = f"127.0.0.1:{sink.port}"
            seconds = celery_baseline.seconds(folder, "baseline.mail", where, addresses, TEXT)
        # One mail more warmed its worker up.
        _judge(sink, set(addresses), but=1)
    return count / seconds


def _module(module: str, *more: str | int) -> float:
    """Run one of the baselines; the last of `more` is how many mails."""
    *options, count = more
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with smtp_sink(Path(name)) as sink:
            done = subprocess.run(
                [sys.executable, "-m", f"lab.bench.baselines.{module}",
                 str(sink.port), str(count), *map(str, options), TEXT],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
        _judge(sink, {f"c{n}@example.org" for n in range(int(count))})
    return int(count) / float(done.stdout.split()[-1])


def _source(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with smtp_sink(Path(name)) as sink:
            start = time.perf_counter()
            subprocess.run(
                [program("smtp-source"), "-d", "-N", "-s", str(SESSIONS), "-m", str(count),
                 "-l", str(MAIL_BYTES), "-f", "alerts@example.org", "-t", "c@example.org",
                 f"127.0.0.1:{sink.port}"],
                check=True, capture_output=True,
            )  # fmt: skip
            seconds = time.perf_counter() - start
        # It numbers its recipients from one.
        _judge(sink, {f"{n}c@example.org" for n in range(1, count + 1)})
    return count / seconds


def _judge(sink: Sink, expected: set[str], *, but: int = 0) -> None:
    """Every mail must be once in the relay's own record, except `but` of them."""
    taken = sink.taken()
    doubled = sum(n - 1 for n in taken.values())
    if taken.keys() != expected or doubled != but:
        raise WorkFailed(
            f"The relay took {len(taken):,} of {len(expected):,} mails, {doubled:,} twice."
        )


def _apprise() -> str:
    """Its version; empty where it is not installed."""
    try:
        return version("apprise")
    except PackageNotFoundError:
        return ""


def _report(rounds: Rounds, ways: Sequence[Way]) -> Report:
    apprise = _apprise()
    return Report(
        tables=[rounds.table("Email, from submission to the ledger")],
        targets=[
            Target("times a Celery task a mail", 16, rounds.beside(TASK), unit="×"),
            Target("of Postfix smtp-source", 0.4, rounds.beside(SOURCE), unit="×"),
        ],
        figures={"per_second": rounds.of, "messages": {w.name: w.messages for w in ways}},
        notes=[
            f"aiosmtplib {version('aiosmtplib')}; Postfix's smtp-sink is the stub, without TLS for "
            f"all. {WORKERS} worker processes of ours with {SESSIONS} connections each, "
            f"{celery_baseline.PROCESSES} of the tasks', one of each other; smtp-source keeps "
            f"{SESSIONS} connections.",
            f"Apprise {apprise}." if apprise else "Apprise is not installed and was left out.",
        ],
    )

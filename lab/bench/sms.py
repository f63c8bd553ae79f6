"""SMS from end to end: submitted, planned, judged, sent, and every delivery in the ledger.

Beside it a Celery task for each message with Twilio's synchronous client, and a bare loop that
only posts. All against nginx, which answers 201 and logs what it took; all on this machine.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from alerting.errors import WorkFailed
from lab.bench import celery_baseline
from lab.bench.report import Options, Report, Target
from lab.bench.rounds import SUBJECT, Rounds, Way, measure
from lab.bench.stubs.twilio import TwilioStub, settings_for, twilio
from lab.bench.whole_way import machine, send_one, town

#: About as long as the product's.
TEXT = "Port Example Emergency Centre: Storm surge: leave the waterfront now. Go uphill on foot."

#: Of the product. One more than processors: while one waits for its commit the others send.
WORKERS = 3

EACH, BARE = "a Celery task a message", "bare aiohttp loop"


def run(options: Options) -> Report:
    """Measure in rounds, each way once in a round. Raises WorkFailed where a message is missing or
    doubled, in the provider's log or in the ledger: then no figure is worth anything."""
    subject, each, bare, rounds = (
        (300, 60, 300, 1) if options.quick else (100_000, 5_000, 100_000, 3)
    )
    ways = (Way(SUBJECT, subject, _subject), Way(EACH, each, _each), Way(BARE, bare, _bare))
    return _report(measure(ways, rounds, options.say), ways)


def _subject(count: int) -> float:
    citizens = town(count, "sms", seed=1)

    async def once(folder: Path, stub: TwilioStub) -> float:
        settings = settings_for(stub.url, var=folder / "var", workers=WORKERS)
        async with machine(settings, lanes="extreme,severe,routine,drill") as config:
            done = await send_one(config, citizens)
        if done.messages != count:
            raise WorkFailed(f"The ledger has {done.messages:,} accepted of {count:,}.")
        return done.per_second

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with twilio(folder / "nginx") as stub:
            rate = asyncio.run(once(folder, stub))
        _judge(stub, {c.endpoints["sms"] for c in citizens})
    return rate


def _each(count: int) -> float:
    numbers = [f"+999{n:09d}" for n in range(count)]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with twilio(folder / "nginx") as stub:
            seconds = celery_baseline.seconds(folder, "baseline.send", stub.url, numbers, TEXT)
        _judge(stub, set(numbers))
    return count / seconds


def _bare(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with twilio(Path(name) / "nginx") as stub:
            done = subprocess.run(
                [sys.executable, "-m", "lab.bench.baselines.bare_http",
                 stub.url, str(count), "64", TEXT],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
        _judge(stub, {f"+999{n:09d}" for n in range(count)})
    return count / float(done.stdout)


def _judge(stub: TwilioStub, expected: set[str]) -> None:
    """Raises WorkFailed unless every message is once in the provider's log, except the one that
    warmed a worker up."""
    taken = Counter(stub.taken())
    doubled = sum(n - 1 for n in taken.values())
    if taken.keys() != expected or doubled > 1:
        raise WorkFailed(
            f"The provider took {len(taken):,} of {len(expected):,} messages, {doubled:,} twice."
        )


def _report(rounds: Rounds, ways: Sequence[Way]) -> Report:
    sdk, celery, http = (version(name) for name in ("twilio", "celery", "aiohttp"))
    return Report(
        tables=[rounds.table("SMS, from submission to the ledger")],
        targets=[
            Target("times a Celery task a message", 14, rounds.beside(EACH), unit="×"),
            Target("of a bare aiohttp loop", 0.7, rounds.beside(BARE), unit="×"),
        ],
        figures={"per_second": rounds.of, "messages": {w.name: w.messages for w in ways}},
        notes=[
            f"twilio {sdk}, celery {celery}, aiohttp {http}; nginx is the stub. "
            f"{WORKERS} worker processes of the product, eight of the task's, one of the loop's.",
        ],
    )

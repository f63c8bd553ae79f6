"""Web Push from end to end: submitted, planned, judged, encrypted for each citizen, sent, noted.

Beside it pywebpush in a loop, and a bare loop that only encrypts and posts. All against nginx,
which answers 201 and logs what it took; all on this machine. Some of what it took is read with
the citizens' own keys.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from alerting import examples
from alerting.cap import read
from alerting.channels.push import vapid
from alerting.channels.push.web_push import tag_of
from alerting.channels.render import render
from alerting.errors import WorkFailed
from alerting.settings import Settings
from lab.bench.report import Options, Report, Target
from lab.bench.rounds import SUBJECT, Rounds, Way, measure
from lab.bench.stubs.push_phones import Text, judge, subscribe
from lab.bench.stubs.push_service import PushService, push_service
from lab.bench.whole_way import machine, send_one, town

LOOP, BARE = "pywebpush in a loop", "bare crypto and aiohttp loop"


def run(options: Options) -> Report:
    """Measure in rounds, each way once in a round. Raises WorkFailed where a message is missing or
    doubled, in the push service's log or in the ledger, or where a citizen could not read it:
    then no figure is worth anything."""
    subject, loop, bare, rounds = (
        (300, 200, 300, 1) if options.quick else (50_000, 2_000, 50_000, 3)
    )
    ways = (
        Way(SUBJECT, subject, _subject),
        Way(LOOP, loop, partial(_baseline, "pywebpush_loop")),
        Way(BARE, bare, partial(_baseline, "bare_push", at_once=64)),
    )
    return _report(measure(ways, rounds, options.say), ways)


def _subject(count: int) -> float:
    with _service(count) as (folder, service):
        citizens = [
            replace(citizen, endpoints={"push": endpoint}, keys=keys)
            for citizen, (endpoint, keys) in zip(
                town(count, "push", seed=1), subscribe(service.url, count), strict=True
            )
        ]
        settings = Settings(
            var=folder / "var",
            # Only the sandbox's settings let the channel speak to this machine, and without TLS.
            carriers="sandbox",
            public_url="http://127.0.0.1:9",
            # nginx sends no receipts, and that must not start another channel.
            receipt_severe_s=0,
        )

        async def once() -> float:
            async with machine(settings, lanes="extreme,severe,routine,drill") as config:
                done = await send_one(config, citizens)
            if done.messages != count:
                raise WorkFailed(f"The ledger has {done.messages:,} accepted of {count:,}.")
            return done.per_second

        return asyncio.run(once())


def _baseline(module: str, count: int, *, at_once: int | None = None) -> float:
    with _service(count) as (folder, service):
        subscriptions, key = folder / "subscriptions", folder / "vapid.pem"
        with subscriptions.open("w", encoding="ascii") as lines:
            for endpoint, keys in subscribe(service.url, count):
                lines.write(json.dumps({"endpoint": endpoint, "keys": keys}) + "\n")
        key.write_bytes(vapid.generate())
        done = subprocess.run(
            [sys.executable, "-m", f"lab.bench.baselines.{module}",
             str(subscriptions), str(key), _message(), *([str(at_once)] if at_once else [])],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    return count / float(done.stdout)


@contextmanager
def _service(count: int) -> Iterator[tuple[Path, PushService]]:
    """A folder and a push service; at the end each of its messages must be there once."""
    alert = read(examples.FLOOD.read_bytes()).alerts[0]
    texts = [Text(i.headline or "", i.instruction or "") for i in alert.infos]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with push_service(folder / "nginx") as service:
            yield folder, service
        judge(service, count, texts)


def _message() -> str:
    """What ours says to most citizens, without the number of the delivery."""
    alert = read(examples.FLOOD.read_bytes()).alerts[0]
    link = "http://127.0.0.1:9/a/00000000-0000-0000-0000-000000000000"
    made = render(alert, info_no=0, area_no=0, channel="push", language="en", link=link)
    message = {
        "title": made.subject,
        "body": made.text,
        "url": made.link,
        "lang": made.language,
        "tag": tag_of("bench"),
    }
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _report(rounds: Rounds, ways: Sequence[Way]) -> Report:
    names = ("pywebpush", "requests", "cryptography", "aiohttp")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return Report(
        tables=[rounds.table("Web Push, from submission to the ledger")],
        targets=[
            Target("times pywebpush in a loop", 4.5, rounds.beside(LOOP), unit="×"),
            Target("of a bare crypto and aiohttp loop", 1.0, rounds.beside(BARE), unit="×"),
        ],
        figures={"per_second": rounds.of, "messages": {w.name: w.messages for w in ways}},
        notes=[
            f"{versions}; nginx is the stub, plain HTTP for all. Two workers of the product, "
            "one of each loop; 64 requests at once in each process but pywebpush's, which has one.",
            "No two citizens share a key. One message in a hundred was decrypted and its sender "
            "verified.",
        ],
    )

"""The field's inputs: played at the time they bear, by carriers and by a replay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import timeshift
from dispatch_harness import DispatchHarness
from labour import idle
from letters import says_over

from alerting.audience.importing import import_file
from alerting.cap import read
from alerting.replay.population import from_register
from alerting.replay.simulation import replay
from alerting.replay.trace import read_trace
from alerting.throttle.policy.parse import default_policy


@dataclass
class Field:
    """A system in which it is always the time at which the document at hand was sent."""

    harness: DispatchHarness
    folder: Path
    numbers: dict[str, str] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)

    async def open(self, folder: str, register: str = "reg.csv") -> None:
        self.folder /= folder
        people = self.folder / register
        report = await import_file(self.harness.db, people, errors=Path("/dev/null"))
        assert report.added
        assert not report.refused
        head, *lines = [line.split(",") for line in people.read_text("utf-8").splitlines()]
        for line in lines:
            one = dict(zip(head, line, strict=True))
            self.numbers[one["sms"]] = one["ref"]
            self.languages[one["ref"]] = one["language"]

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.xml").read_text("utf-8")

    async def submit(self, document: str, *, quiet: bool = True) -> None:
        """At the second it bears; then workers run until they are idle."""
        await self.at(read(document.encode()).alerts[0].sent)
        await self.harness.submit(document.encode(), now=False)
        if quiet:
            await idle(self.harness)

    async def at(self, instant: datetime) -> None:
        self.harness.clock.at = instant
        async with self.harness.db.begin() as connection:
            await timeshift.begin(connection, instant)

    def heard(self, ref: str) -> str:
        """What somebody got, in order: `d` for a danger, `o` for its being over."""
        texts = [m.rendering.text for m in self.harness.sent if self.numbers.get(m.endpoint) == ref]
        return "".join("o" if says_over(t, self.languages[ref]) else "d" for t in texts)


async def played(
    documents: Sequence[str], register: Path, folder: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a replay of these documents comes to, and its lines; nothing is missed or late."""
    paths = []
    for n, document in enumerate(documents):
        paths.append(folder / f"{n}.xml")
        paths[-1].write_text(document, "utf-8")
    lines = folder / "lines.jsonl"
    people = from_register(register)
    result = await replay(read_trace(paths), people, default_policy(), detail=lines)
    found = result.to_json()
    assert found["messages"] == len(documents)
    assert (found["missed"], found["late"]) == ([], []), found
    assert found["wrong_ends"] == 0, found
    return found, [json.loads(line) for line in lines.read_text("utf-8").splitlines()]


def got(lines: Sequence[dict[str, Any]], ref: str) -> list[tuple[str, str]]:
    """(document, why) of all that reached somebody in a replay."""
    reached = {"sent", "silent", "digested"}
    mine = [x for x in lines if x["citizen"] == ref and x["outcome"] in reached]
    return [(x["identifier"], x["reason"]) for x in mine]


def identifier(document: str) -> str:
    return read(document.encode()).alerts[0].identifier

"""What can be observed from outside: the carriers' logs as they grow, and the processes' own
output."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from alerting.embedded.carriers import CARRIERS, Carrier, log_path

#: What differs each time in what a library says: task ids, addresses, pids, ports.
_NUMBERED = re.compile(r"\[[^\]]*\]|0x[0-9a-f]+|\d+")


@dataclass(frozen=True, slots=True)
class Line:
    """One message a carrier took.

    Attributes:
        ref: Our delivery's id, None where the carrier saw none.
        outcome: What the carrier made of it later, `delivered` where it does not say.
    """

    at: datetime
    channel: Carrier
    to: str
    ref: int | None
    outcome: str = "delivered"


class CarrierLogs:
    """All carriers' logs below these folders, read as they grow.

    Args:
        push_base: Of push endpoints.
    """

    def __init__(self, folders: Sequence[Path], push_base: str) -> None:
        self._paths = {log_path(folder, c): c for folder in folders for c in CARRIERS}
        self._read = dict.fromkeys(self._paths, 0)
        self._push_base = push_base
        self.lines: list[Line] = []

    def read_on(self) -> int:
        """Read what has been written since; returns the number of messages."""
        for path, channel in self._paths.items():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                file.seek(self._read[path])
                new = file.read()
            # A line without its end is not in the log yet.
            whole = new[: new.rfind(b"\n") + 1]
            self._read[path] += len(whole)
            self.lines += [self._line(channel, json.loads(row)) for row in whole.splitlines()]
        return len(self.lines)

    def _line(self, channel: Carrier, row: dict[str, Any]) -> Line:
        # A push service knows its subscriptions by name; we know them by address.
        to = f"{self._push_base}/push/{row['to']}" if channel == "push" else str(row["to"])
        at = datetime.fromisoformat(row["at"])
        return Line(at, channel, to, row["ref"], row.get("outcome", "delivered"))


def silence_s(times: Sequence[datetime], since: datetime, until: datetime) -> float | None:
    """The longest time without a message between two instants; None where none came after.

    Args:
        times: In order. A silence counts as far as it lies between the two.
    """
    first = bisect_right(times, since)
    last, longest = since, 0.0
    for at in times[first:]:
        longest = max(longest, (min(at, until) - last).total_seconds())
        if at > until:
            return longest
        last = at
    return longest if first < len(times) else None


@dataclass(frozen=True, slots=True)
class Doubted:
    """A worker found that a dead one had left `count` deliveries of a chunk in doubt."""

    at: datetime
    chunk: int
    count: int


class ProcessLines:
    """Keeps every line of the processes in a file, and what of them is counted.

    errors: events logged as errors, by name, each with how often it came.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = path.open("w", encoding="utf-8")
        self.doubted: list[Doubted] = []
        self.errors: Counter[str] = Counter()
        self.fenced = 0

    def take(self, name: str, text: str) -> None:
        self._file.write(f"{name:9} | {text}\n")
        if not text.startswith("{"):
            return
        try:
            event = json.loads(text)
        except ValueError:
            return
        match event.get("event"):
            case "chunk.in_doubt":
                at = datetime.fromisoformat(event["timestamp"])
                self.doubted.append(Doubted(at, event["chunk"], event["count"]))
            case "work.fenced":
                self.fenced += 1
        if event.get("level") in {"error", "critical"}:
            self.errors[_NUMBERED.sub("…", str(event.get("event")))[:60].strip()] += 1

    def close(self) -> None:
        self._file.close()

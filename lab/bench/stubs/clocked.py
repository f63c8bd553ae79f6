"""A stub of Twilio that logs the time of each message: nginx, which answers 201 at once.

Its log has the instant of each request by its own clock, to the millisecond; nothing of ours
touches it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from alerting.errors import WorkFailed
from lab.bench.stubs.nginx import serving
from lab.bench.stubs.ports import HOST, free_port
from lab.bench.stubs.twilio import answering


@dataclass(frozen=True, slots=True)
class Taken:
    """One message: when the provider had taken it, and the digits behind +999 it went to."""

    at_s: float
    number: int


class Clocked:
    """A running stub. `port` is the same on every address it listens on."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self._read = 0
        self._lines = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self) -> int:
        """How many messages it has taken, as far as its log has been written."""
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._read)
                while block := log.read(1 << 20):
                    self._read += len(block)
                    self._lines += block.count(b"\n")
        return self._lines

    def taken(self) -> list[Taken]:
        """Every message in the order of its instants. Raises WorkFailed for a line that is none."""
        found = []
        if self._log.exists():
            with self._log.open(encoding="ascii", errors="replace") as lines:
                found = [_taken(line) for line in lines if line.strip()]
        return sorted(found, key=lambda t: t.at_s)

    def texts(self) -> set[str]:
        """Every wording it was sent."""
        with self._log.open(encoding="ascii", errors="replace") as lines:
            return {parse_qs(line.partition(" ")[2].strip())["Body"][0] for line in lines}


def _taken(line: str) -> Taken:
    at, _, body = line.strip().partition(" ")
    to = parse_qs(body).get("To", [""])[0]
    if not to.startswith("+999"):
        raise WorkFailed(f"The provider was sent a message to {to or 'nobody'}.")
    return Taken(float(at), int(to[4:]))


@contextmanager
def clocked(folder: Path, hosts: Sequence[str] = (HOST,)) -> Iterator[Clocked]:
    """Run it over `folder` while the block lasts. Raises Unavailable where there is no nginx."""
    port, log = free_port(), folder / "taken.log"
    http = answering(folder, hosts, port, log=log, entry="$msec $request_body")
    with serving(folder, port, http):
        yield Clocked(port, log)

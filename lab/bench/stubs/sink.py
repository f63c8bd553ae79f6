"""A stub of a mail relay, never the bottleneck: Postfix's smtp-sink, which keeps every mail."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from alerting.embedded import child
from alerting.embedded.wait import until
from alerting.errors import Unavailable
from lab.bench.stubs.ports import HOST, free_port, listens

#: smtp-sink writes each recipient in a line of its own before the mail.
_TO = re.compile(rb"^X-Rcpt-Args: <([^>]*)>", re.M)

#: Where the record is kept while the sink runs, where there is such a place: on the disk it stood
#: in the way of PostgreSQL's log.
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it

#: Connections that may wait to be taken.
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Sink:
    """Where it listens, and what it had taken by its end."""

    port: int
    dump: Path

    def taken(self) -> Counter[str]:
        """How many mails each address was sent."""
        if not self.dump.exists():
            return Counter()
        return Counter(to.decode() for to in _TO.findall(self.dump.read_bytes()))


@contextmanager
def smtp_sink(folder: Path) -> Iterator[Sink]:
    """Run it over `folder` while the block lasts. Raises Unavailable where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    port, dump = free_port(), folder / "mails"
    with TemporaryDirectory(
        prefix="bench-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None
    ) as name:
        live = Path(name) / "mails"
        process = child.start(
            (program("smtp-sink"), *_as_whom(), "-D", str(live), f"{HOST}:{port}", str(_BACKLOG)),
            log=folder / "smtp-sink.log",
        )
        try:
            until(lambda: listens(port), timeout_s=10, what="smtp-sink to start")
            yield Sink(port, dump)
        finally:
            child.stop(process, signal.SIGTERM, 5)
            if live.exists():
                shutil.move(live, dump)


def program(name: str) -> str:
    """Where a program of Postfix's is. Raises Unavailable where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise Unavailable(
            f"There is no {name} for the stub of a mail relay.", remedy="Run `make bench-deps`."
        )
    return found


def _as_whom() -> tuple[str, ...]:
    """It asks whom to run as when it is started by root."""
    return ("-u", pwd.getpwuid(0).pw_name) if os.geteuid() == 0 else ()

"""A Redis of the bench's own, and what it says of the work it did."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis as redis_client

from alerting.embedded import redis


@dataclass(slots=True)
class Work:
    """What was done between the beginning and the end of a `measured` block.

    Attributes:
        cpu_s: Processor time of the server itself, the limit of one core for any client.
        script_s: Each script's own time in the server, ascending; scripts of less than 20 µs are
            left out.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    script_s: list[float] = field(default_factory=list)

    def script_ms(self, share: float) -> float | None:
        """The time within which this share of the scripts were done."""
        if not self.script_s:
            return None
        return self.script_s[min(int(len(self.script_s) * share), len(self.script_s) - 1)] * 1000


@dataclass(frozen=True, slots=True)
class Server:
    """A running Redis with a client for its own affairs."""

    url: str
    client: redis_client.Redis

    @property
    def version(self) -> str:
        return str(self.client.info("server")["redis_version"])

    def used_memory(self) -> int:
        """Bytes, as Redis counts what it has allocated."""
        return int(self.client.info("memory")["used_memory"])

    def nothing_to_free(self) -> bool:
        """True when what was unlinked no longer takes memory."""
        return not int(self.client.info("memory").get("lazyfree_pending_objects", 0))

    @contextmanager
    def measured(self) -> Iterator[Work]:
        """Fill the yielded Work when the block ends."""
        work = Work()
        self.client.slowlog_reset()
        cpu_s, start = self._cpu_s(), time.perf_counter()
        yield work
        work.wall_s = time.perf_counter() - start
        work.cpu_s = self._cpu_s() - cpu_s
        scripts = (e for e in self.client.slowlog_get(100_000) if b"EVAL" in e["command"][:4])
        work.script_s = sorted(e["duration"] / 1e6 for e in scripts)

    def _cpu_s(self) -> float:
        used = self.client.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def for_limits(url: str) -> str:
    """The URL as `limits` names a socket; it takes any other word than redis for Valkey's client,
    which is not the one that ours uses."""
    return url.replace("unix://", "redis+unix://", 1)


@contextmanager
def server() -> Iterator[Server]:
    """A Redis as `alerting up` starts it: on a socket, every write in its append-only file.

    Raises Unavailable where there is no Redis to start.
    """
    with tempfile.TemporaryDirectory(prefix="alerting-bench-") as folder:
        running = redis.start(Path(folder))
        try:
            with redis_client.Redis.from_url(running.url) as client:
                # Rewriting the file now and then is another process's work, at random moments.
                client.config_set("auto-aof-rewrite-percentage", 0)
                client.config_set("slowlog-max-len", 100_000)
                # With 0 every command inside a script would be logged too, and slow it.
                client.config_set("slowlog-log-slower-than", 20)
                yield Server(running.url, client)
        finally:
            running.stop()

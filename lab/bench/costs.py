"""The cost of work: processor seconds by program, bytes and transactions, read before and after."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")

#: Found in a process's command line, the first that fits.
_PROGRAMS = {"celery": "workers", "postgres": "PostgreSQL", "redis": "Redis", "nginx": "stand-in"}

_COUNTERS = """
    select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8,
           (select sum(pg_total_relation_size(oid))::int8 from pg_class
            where relnamespace = 'public'::regnamespace and relkind = 'r'),
           pg_snapshot_xmax(pg_current_snapshot())::text::int8"""


@dataclass(frozen=True, slots=True)
class Costs:
    """cpu_s: by program. Bytes: of PostgreSQL's log, of its tables, of Redis. commits: PostgreSQL's
    transactions that wrote something; commands: to Redis."""

    cpu_s: dict[str, float]
    wal_bytes: int
    table_bytes: int
    redis_bytes: int
    commits: int
    commands: int

    def since(self, before: Costs) -> Costs:
        return Costs(
            {name: s - before.cpu_s.get(name, 0.0) for name, s in self.cpu_s.items()},
            self.wal_bytes - before.wal_bytes,
            self.table_bytes - before.table_bytes,
            self.redis_bytes - before.redis_bytes,
            self.commits - before.commits,
            self.commands - before.commands,
        )


def read(database_url: str, redis_url: str) -> Costs:
    """The cost so far of this process's descendants and its engines."""
    cpu_s: dict[str, float] = defaultdict(float)
    for pid in descendants(os.getpid()):
        name = _program(pid)
        if name:
            cpu_s[name] += _cpu_s(pid)
    with psycopg.connect(database_url, autocommit=True) as db:
        row = db.execute(_COUNTERS).fetchone()
    wal_bytes, table_bytes, commits = row or (0, 0, 0)
    with redis.Redis.from_url(redis_url) as client:
        info = client.info()
    return Costs(
        dict(cpu_s),
        int(wal_bytes),
        int(table_bytes),
        int(info["used_memory"]),
        int(commits),
        int(info["total_commands_processed"]),
    )


def worker_peak_mb() -> float:
    """The highest peak of resident memory among the product's worker processes."""
    peaks = [_peak_mb(pid) for pid in descendants(os.getpid()) if _program(pid) == "workers"]
    return max(peaks, default=0.0)


def descendants(pid: int) -> list[int]:
    """The processes below this one."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            fields = _stat(int(folder.name))
            if fields:
                children[int(fields[1])].append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        below = children[waiting.pop()]
        found += below
        waiting += below
    return found


def _program(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
    return next((name for part, name in _PROGRAMS.items() if part in command), "")


def _cpu_s(pid: int) -> float:
    """Processor seconds of the process and of its children that have ended."""
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) * _TICK_S if fields else 0.0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (proc(5)); none for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(") ")[2].split()


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    peak = next((line for line in lines if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(peak.split()[1]) / 1000

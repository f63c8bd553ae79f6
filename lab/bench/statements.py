"""Which SQL statements were run, how often and for how long, by PostgreSQL's own account.

By `pg_stat_statements` where the server can have it, which the embedded one cannot; else by a log
of every statement. Either costs time, so what is counted is not what is measured.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from alerting.embedded import postgres

_VIEW = "pg_stat_statements"

#: What a statement takes or sets is shown where it is no longer than this.
_SHORT = 20

#: What a session says that shall not be counted itself: the bench's, which looks on.
_UNCOUNTED = "-c log_min_duration_statement=-1 -c pg_stat_statements.track=none"

#: An entry of the log; what is logged of one statement are up to three, and two of them only add
#: to its time.
_ENTRY = re.compile(
    r"LOG:  duration: (?P<ms>[\d.]+) ms  (?P<kind>statement|parse|bind|execute)[^:]*: (?P<text>.*)",
    re.S,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One text, with how often it was run and how long that took PostgreSQL altogether."""

    text: str
    calls: int
    ms: float


@dataclass(slots=True)
class Counted:
    """by: what counted. statements: the dearest first."""

    by: str = ""
    statements: list[Statement] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return sum(s.calls for s in self.statements)


def server_config() -> dict[str, str]:
    """Settings that a server needs to count statements. No value is ever logged."""
    library = postgres.binaries().parent / "lib" / "postgresql" / f"{_VIEW}.so"
    if library.exists():
        return {"shared_preload_libraries": _VIEW}
    return {
        "log_min_duration_statement": "0",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }


def uncounted(database_url: str) -> str:
    """The same database, for sessions that are left out."""
    options = _UNCOUNTED.replace(" ", "%20").replace("=", "%3D")
    return f"{database_url}{'&' if '?' in database_url else '?'}options={options}"


@contextmanager
def counted(database_url: str, log: Path) -> Iterator[Counted]:
    """Fill the yielded Counted when the block ends, with what was run by others meanwhile.

    Args:
        log: Where the server writes, which was started with `server_config`.
    """
    found = Counted()
    with psycopg.connect(uncounted(database_url), autocommit=True) as db:
        row = db.execute("select current_setting('shared_preload_libraries')").fetchone()
        if row is not None and _VIEW in row[0]:
            db.execute(f"create extension if not exists {_VIEW}")
            db.execute("select pg_stat_statements_reset()")
            yield found
            rows = db.execute(
                "select query, calls, total_plan_time + total_exec_time from pg_stat_statements"
            ).fetchall()
            found.by, found.statements = f"its {_VIEW}", _together(rows)
            return
    before = log.stat().st_size
    yield found
    with log.open("rb") as file:
        file.seek(before)
        text = file.read().decode(errors="replace")
    found.by, found.statements = "the server's log", _together(_entries(text))


def _entries(log: str) -> Iterator[tuple[str, int, float]]:
    # What belongs to the line before begins with a tab.
    for entry in re.split(r"\n(?!\t)", log):
        if said := _ENTRY.search(entry):
            yield said["text"], said["kind"] in {"statement", "execute"}, float(said["ms"])


def _together(rows: Iterable[tuple[str, int, float]]) -> list[Statement]:
    calls: Mapping[str, list[int]] = defaultdict(list)
    ms: Mapping[str, list[float]] = defaultdict(list)
    for text, count, time_ms in rows:
        normal = normalised(text)
        calls[normal].append(count)
        ms[normal].append(time_ms)
    found = [Statement(text, sum(counts), sum(ms[text])) for text, counts in calls.items()]
    return sorted(found, key=lambda s: -s.ms)


def normalised(text: str) -> str:
    """The statement on one line, the same for any values, any number above one, and any rows."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"(\$\d+)::[A-Z ]*[A-Z]", r"\1", text)
    text = re.sub(r"\$\d+", "?", re.sub(r"'(?:[^']|'')*'", "?", text))
    text = re.sub(r"\?(?:, \?)+", "?, …", text)
    return re.sub(r"(\(\?[^()]*\))(?:, \1)+", r"\1", text)


def shortened(text: str, most: int) -> str:
    """A normalised statement cut to `most` characters, from where it differs from others: the
    tables rather than the columns."""
    for pattern in (r"select ", r"update [^=]{,40}? set \w+ ?(?==)"):
        head = re.match(pattern, text, re.I)
        tail = _clause(text, head.end()) if head else None
        if head and tail and tail - head.end() > _SHORT:
            text = f"{head[0].rstrip()} … {text[tail:]}"
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _clause(text: str, start: int) -> int | None:
    """Where the first `from` or `where` outside of parentheses begins."""
    for found in re.finditer(r"\b(?:from|where)\b", text[start:], re.I):
        before = text[start : start + found.start()]
        if before.count("(") == before.count(")"):
            return start + found.start()
    return None

"""Statements are counted by the server's log: each once, whatever its values, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from alerting.embedded import postgres
from lab.bench.memory import statements
from lab.bench.statements import (
    Counted,
    Statement,
    counted,
    normalised,
    server_config,
    shortened,
    uncounted,
)


def test_statements_are_counted_once_without_values(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    server = postgres.start(tmp_path / "postgres", server_config())
    try:
        log = tmp_path / "postgres" / "postgres.log"
        with counted(server.url, log) as found:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("create table t (a int, b text)")
                for n in range(7):
                    connection.execute("insert into t\n  values (%s, %s)", (n, "+447700900123"))
                connection.execute("select a from t where b = 'it''s'")
            with psycopg.connect(uncounted(server.url), autocommit=True) as connection:
                connection.execute("select 'unseen' from t")
    finally:
        server.stop()
    assert {s.text: s.calls for s in found.statements} == {
        "create table t (a int, b text)": 1,
        "insert into t values (?, …)": 7,
        "select a from t where b = ?": 1,
    }
    assert found.calls == 9
    assert all(s.ms > 0 for s in found.statements)
    assert [s.ms for s in found.statements] == sorted(
        (s.ms for s in found.statements), reverse=True
    )
    assert "+447700900123" not in log.read_text()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select 1 where a in ($1, $2)", "select 1\n\twhere a in ($1, $2, $3)"),
        ("insert into t values ($1, $2)", "insert into t values ($1, $2), ($3, $4), ($5, $6)"),
        ("update t set a = $1::VARCHAR", "update t set a = $2"),
        ("select 'it''s'", "select 'another'"),
    ],
)
def test_statement_is_normalised(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_shortened_statements_stay_distinct() -> None:
    assert shortened("select a.id, a.name, a.place, a.when from a where x", 60) == (
        "select … from a where x"
    )
    assert shortened("UPDATE t SET a=?, b=(t.b + ?), c=(t.c + ?) WHERE t.id = ?", 60) == (
        "UPDATE t SET a … WHERE t.id = ?"
    )
    assert shortened("select a.id, exists (select from b where b.id = a.id) from a", 60) == (
        "select … from a"
    )
    assert shortened("select a from b where b.id = ?", 60) == "select a from b where b.id = ?"
    assert shortened("x" * 61, 60) == "x" * 59 + "…"


def test_costliest_and_most_frequent_are_shown() -> None:
    dear = [Statement(f"dear {n}", 1, 100 - n) for n in range(20)]
    often = Statement("often", 1_000, 0.5)
    found = Counted("the server's log", [*dear, often])
    shown = statements.chosen(found)
    assert (shown[0].text, shown[-1].text) == ("dear 0", "often")
    assert len(shown) == 11
    figures = statements.to_json(found, 10_000)
    assert figures["per_thousand"] == 102
    assert figures["costliest"][-1] == {
        "statement": "often", "calls_per_thousand": 100, "ms_per_thousand": 0.05,
    }  # fmt: skip
    assert statements.table(found, 10_000).rows[-1][0] == "all 21"

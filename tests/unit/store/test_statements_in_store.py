"""All SQL is in `alerting.store`: the rest hands connections over and calls its functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerting.domain.alert_state import AlertState
from alerting.domain.delivery import DeliveryState
from alerting.domain.work_state import WorkState

ROOT = Path(__file__).parents[3] / "alerting"

#: The store itself, who makes the database of an engine that it starts, and the laboratory, which
#: measures and breaks the product from outside.
MAY = ("store/", "embedded/postgres.py", "bench/", "chaos/")

#: What an outsider may know of the libraries below: the type of what it is handed.
HANDED = {("sqlalchemy.ext.asyncio", "AsyncConnection")}

_SQL = re.compile(
    r"\s*(select\s.*\bfrom\b|insert\s+into\s|update\s+\w+\s+(\w+\s+)?set\s|delete\s+from\s"
    r"|copy\s+\w+.*\b(from|to)\s|with\s+\w+\s+as\s*\(|set\s+(local|transaction|session)\s"
    r"|(vacuum|analyze|truncate|create|drop|alter|lock)\s+(table\s|analyze\s|database\s|index\s|\w+$))",
    re.S,
)

_EXECUTES = {"exec_driver_sql", "executemany", "scalars", "scalar", "stream"}


def faults(source: str) -> Iterator[str]:
    """What is SQL in a module, each with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found = [n.name for n in names if _below(n.name)]
                if found:
                    yield f"{node.lineno}: import {', '.join(found)}"
            case ast.ImportFrom(module=str(module), names=names) if _below(module):
                found = [n.name for n in names if (module, n.name) not in HANDED]
                if found:
                    yield f"{node.lineno}: from {module} import {', '.join(found)}"
            case ast.Constant(value=str(words)) if _SQL.match(words):
                yield f"{node.lineno}: {words.strip()[:40]!r}"
            case ast.Call(func=ast.Attribute(attr=name), args=args) if name in _EXECUTES or (
                name == "execute" and args
            ):
                yield f"{node.lineno}: .{name}(…)"


def _below(module: str) -> bool:
    return module.split(".")[0] in {"sqlalchemy", "psycopg", "alembic"}


def _modules() -> list[Path]:
    return [p for p in sorted(ROOT.rglob("*.py")) if not _of_store(p)]


def _of_store(path: Path) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return name.startswith(MAY)


def test_no_statement_spells_a_state() -> None:
    """They come from the enumerations of `domain` (`store.states`)."""
    words = "|".join({s.value for kind in (DeliveryState, AlertState, WorkState) for s in kind})
    spelt = re.compile(rf"\bstate\s*(?:=|<>|in)\s*\(?'({words})'")
    found = {
        path.name: spelt.findall(path.read_text(encoding="utf-8"))
        for path in (ROOT / "store").rglob("*.py")
        if "migrations" not in path.parts
    }
    assert len(found) > 30
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_no_statement_is_outside_the_store() -> None:
    modules = _modules()
    assert len(modules) > 200
    found = {
        path.relative_to(ROOT).as_posix(): list(faults(path.read_text(encoding="utf-8")))
        for path in modules
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import psycopg",
        "from sqlalchemy import select",
        "from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine",
        'QUERY = """\n    select id from delivery where id = 1"""',
        "QUERY = f'update alert set state = {state}'",
        'await connection.execute(query, {"id": 1})',
        "await connection.scalar(query)",
        'c.copy("copy place (id, no) from stdin")',
        'limit = "set local statement_timeout = 5"',
    ],
)
def test_statement_is_found_in_each_form(source: str) -> None:
    assert list(faults(source))


@pytest.mark.parametrize(
    "source",
    [
        "from sqlalchemy.ext.asyncio import AsyncConnection",
        "left_ms = await pipe.execute()",
        'help_ = "Update a citizen, or select one from the list."',
        'words = "Delete it, or set another time."',
    ],
)
def test_text_that_is_no_statement_is_ignored(source: str) -> None:
    assert not list(faults(source))

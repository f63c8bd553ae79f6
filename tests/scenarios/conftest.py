"""The plays are put together from the parts of the tests of dispatch, on one database a module."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from alerting.embedded.engines import Engines

sys.path.insert(0, str(Path(__file__).parents[1] / "dispatch"))


@pytest.fixture(scope="module")
def module_database_url(engines: Engines, _template: str) -> Iterator[str]:
    """A migrated database for all tests of a module, which leave rows in it."""
    name = f"scenarios_{uuid.uuid4().hex[:12]}"
    url = engines.database_url
    names = sql.Identifier(name), sql.Identifier(_template)
    with psycopg.connect(url, autocommit=True) as c:
        c.execute(sql.SQL("create database {} template {}").format(*names))
    yield url.replace("/alerting?", f"/{name}?")
    with psycopg.connect(url, autocommit=True) as c:
        c.execute(sql.SQL("drop database {} with (force)").format(names[0]))


@pytest.fixture(scope="module")
def emptied(module_database_url: str) -> tuple[str, tuple[str, ...]]:
    """A database with a clock of its own, and the tables that each test empties first."""
    import timeshift

    asyncio.run(timeshift.cover(module_database_url))
    return module_database_url, asyncio.run(timeshift.empty_tables(module_database_url))

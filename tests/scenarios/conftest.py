"""The plays are put together from the parts of the tests of dispatch, on one database a module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from databases import Databases

from alerting.clock import ManualClock
from alerting.dispatch.broker import WorkNotifier
from alerting.settings import Settings
from alerting.store.db import Database

if TYPE_CHECKING:
    from field import Field


@pytest.fixture(scope="module")
def module_database_url(databases: Databases) -> Iterator[str]:
    """A migrated database for all tests of a module, which leave rows in it."""
    with databases.lent() as url:
        yield url


@pytest.fixture(scope="module")
def emptied(module_database_url: str) -> tuple[str, tuple[str, ...]]:
    """A database with a clock of its own, and the tables that each test empties first."""
    import timeshift

    asyncio.run(timeshift.cover(module_database_url))
    return module_database_url, asyncio.run(timeshift.empty_tables(module_database_url))


@pytest.fixture
async def inputs(corpus: Path, emptied: tuple[str, tuple[str, ...]]) -> AsyncIterator[Field]:
    """The field's folders, before a system whose only channel is SMS."""
    import timeshift
    from dispatch_harness import DispatchHarness, Recorder
    from field import Field

    url, tables = emptied
    harness = DispatchHarness(
        Database(url),
        ManualClock(datetime.fromisoformat("2026-01-01T00:00:00+00:00")),
        WorkNotifier("redis://127.0.0.1:9/0"),
        Settings(sweep_s=0.001, in_doubt_wait_s=0),
        {"sms": Recorder("sms")},
        [],
    )
    async with harness.db.begin() as connection:
        await timeshift.empty(connection, tables)
    yield Field(harness, corpus / "field")
    await harness.close()
    await harness.db.close()

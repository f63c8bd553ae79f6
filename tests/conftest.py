"""Real engines for every test: PostgreSQL and Redis as child processes, a fresh database each."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis as redis_client
import structlog
from databases import CONFIG, Databases
from hypothesis import settings as chance
from sizes import size

from alerting.domain.principal import RIGHTS
from alerting.embedded import engines as embedded
from alerting.errors import NotInstalled, Unavailable
from alerting.settings import settings
from alerting.store.admin import stored_people
from alerting.store.db import Database

#: Tests that run where no engine can.
UNIT = Path(__file__).parent / "unit"

#: Rooms of long tests. They come first, or the last of them would run beside an idle processor.
LONG = tuple(
    Path(__file__).parent / room for room in ("lab", "scenarios", "integration/acceptance")
)

# No example is judged by the clock: a busy machine is no fault.
chance.register_profile("usual", max_examples=size(40, 400), deadline=None)
chance.load_profile("usual")


def pytest_runtest_setup() -> None:
    # Only this machine: a test that reaches out fails instead of passing by luck.
    from pytest_socket import socket_allow_hosts

    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "engines" in getattr(item, "fixturenames", ()):
            item.add_marker("engines")
            if item.path.is_relative_to(UNIT):
                raise pytest.UsageError(f"{item.nodeid} asks for an engine: it is no unit test.")
    items.sort(key=lambda item: not any(item.path.is_relative_to(room) for room in LONG))


def _missing(what: str) -> None:
    """A missing engine is a gap at home and a failure where changes are judged."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command run in this process sets up logging for it: the next test finds it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the developer's settings or another test's."""
    for name in list(os.environ):
        plain = name in {"DATABASE_URL", "REDIS_URL", "BROKER_URL"}
        if plain or (name.startswith("ALERTING_") and name != "ALERTING_CORPUS"):
            monkeypatch.delenv(name)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def engines() -> Iterator[embedded.Engines]:
    with tempfile.TemporaryDirectory(prefix="alerting-") as folder:
        try:
            running = embedded.start(Path(folder) / "var", postgres_config=CONFIG)
        except (NotInstalled, Unavailable) as e:
            _missing(str(e))
            return
        with running:
            yield running


@pytest.fixture(scope="session")
def databases(engines: embedded.Engines) -> Databases:
    """The databases that every test gets its own of."""
    return Databases(engines.database_url)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A freshly migrated, empty database of its own."""
    with databases.lent() as url:
        yield url


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """A database without any table."""
    with databases.bare() as url:
        yield url


@pytest.fixture
def redis_url(engines: embedded.Engines) -> str:
    """An emptied Redis."""
    with redis_client.Redis.from_url(engines.redis_url) as client:
        client.flushall()
    return engines.redis_url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def operator(database_url: str) -> str:
    """Makes this very account a person with every right; returns how the audit names them."""

    async def add() -> None:
        db = Database(database_url)
        async with db.begin() as c:
            await stored_people.add(
                c, "operator", by=None, rights=RIGHTS, senders=("*",), uid=os.getuid()
            )
        await db.close()

    # The test may have an event loop of its own.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, add()).result()
    return "person:operator"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder that holds `corpus/`, `streams/` and `twilio/`: real senders' data, not ours."""
    where = os.environ.get("ALERTING_CORPUS")
    if not where:
        pytest.skip("ALERTING_CORPUS is not set: tests on real senders' alerts are left out")
    return Path(where)

"""Who said stop, in a file beside the database."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from alerting.audience.stop_list import StopList, read
from alerting.errors import BadInput
from alerting.store.citizens import stops, suppressions
from alerting.store.citizens.suppressions import Endpoint, Source
from alerting.store.db import Database

ONE, OTHER = Endpoint("sms", "+447700900123"), Endpoint("email", "A@example.org")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stops.jsonl"


async def stop(db: Database, endpoint: Endpoint) -> None:
    async with db.begin() as c:
        await suppressions.stop(c, [endpoint], Source.REPLY, actor="citizen")


async def start(db: Database, endpoint: Endpoint) -> None:
    async with db.begin() as c:
        await suppressions.start(c, [endpoint], actor="citizen", revive=False)


async def lineage(db: Database) -> str:
    async with db.begin() as c:
        return await stops.lineage(c)


async def test_stop_list_appends_each_change_once(db: Database, path: Path) -> None:
    written = StopList(db, path)
    assert await written.write() == 0
    await stop(db, ONE)
    assert [await written.write(), await written.write()] == [1, 0]
    await start(db, ONE)
    await stop(db, OTHER)
    assert await written.write() == 2
    # The next scheduler goes on where this one ended.
    again = StopList(db, path)
    assert await again.write() == 0
    await stop(db, ONE)
    assert await again.write() == 1
    found = read(path, await lineage(db))
    assert sorted((c.channel, c.lifted) for c in found) == [("email", False), ("sms", False)]
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) == 4
    assert "7700" not in text
    assert "example" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_stop_list_rewrites_a_torn_line(db: Database, path: Path) -> None:
    await stop(db, ONE)
    await stop(db, OTHER)
    assert await StopList(db, path).write() == 2
    whole = path.read_bytes()
    for cut in (1, 30, len(whole.splitlines(keepends=True)[1]) - 1, len(whole) - 3):
        path.write_bytes(whole[:-cut])
        await StopList(db, path).write()
        assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


async def test_stop_list_of_another_database_is_refused(db: Database, path: Path) -> None:
    await stop(db, ONE)
    await StopList(db, path).write()
    line = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(line | {"of": "0" * 16}) + "\n", encoding="utf-8")
    with pytest.raises(BadInput, match="line 1 belongs to another database"):
        read(path, await lineage(db))


@pytest.mark.parametrize(
    "text",
    ["hello", "hello\n", "[]", "hello\n{}\n", "[]\n[]\n", '{"of": 1}\n{}\n', "\n\n"],
)
async def test_stop_list_of_bad_format_is_refused(db: Database, path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="line 1 is not a line of a stop list"):
        read(path, await lineage(db))
    with pytest.raises(BadInput):
        await StopList(db, path).write()
    assert path.read_text(encoding="utf-8") == text
    with pytest.raises(BadInput, match="cannot be read"):
        read(path.with_name("none"), await lineage(db))

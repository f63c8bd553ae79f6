"""The audit is only added to, and whatever is done to it all the same shows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from alerting.errors import BadInput
from alerting.store import audit_log
from alerting.store.admin import audit_chain
from alerting.store.admin.audit_chain import Head, Verified
from alerting.store.db import Database


async def write(db: Database, count: int, **more: object) -> None:
    async with db.begin() as c:
        for n in range(count):
            await audit_log.record(c, "person:ada", "key.create", f"key-{n}", {"n": n, **more})


async def seal(db: Database, limit: int = 1000) -> tuple[int, Head]:
    async with db.begin() as c:
        return await audit_chain.seal(c, limit=limit)


async def verify(db: Database, noted: Head | None = None) -> Verified:
    async with db.begin() as c:
        return await audit_chain.verify(c, noted=noted)


async def tamper(db: Database, *statements: str) -> None:
    """As somebody would who has the database's own rights."""
    async with db.begin() as c:
        await c.exec_driver_sql("alter table audit disable trigger user")
        for statement in statements:
            await c.exec_driver_sql(statement)
        await c.exec_driver_sql("alter table audit enable trigger user")


async def test_lines_are_sealed_once_in_order(db: Database) -> None:
    assert (await verify(db)).head == Head()
    await write(db, 5, word="naïve ⛰", price=1.50, none=None)
    assert (await verify(db)).unsealed == 5
    assert [(await seal(db, 3))[0], (await seal(db, 3))[0], (await seal(db, 3))[0]] == [3, 2, 0]
    await write(db, 2)
    _, head = await seal(db)
    found = await verify(db, noted=head)
    assert (found.sealed, found.unsealed, found.broken, found.head) == (7, 0, [], head)
    assert head.seq == 7
    assert Head.parse(str(head)) == head


async def test_unstorable_characters_are_replaced(db: Database) -> None:
    async with db.begin() as c:
        await audit_log.record(
            c, "key:a\0", "alert.cancel", "\ud800", {"why": ["a\0b", {"c": "\ud800"}]}
        )
        (line,) = await audit_log.page(c)
    assert (line.actor, line.subject) == ("key:a", "?")
    assert line.detail == {"why": ["ab", {"c": "?"}]}


async def test_writer_waits_for_nobody(db: Database) -> None:
    """One that began before and commits later is sealed later."""
    async with db.begin() as slow:
        await audit_log.record(slow, "person:ada", "key.create", "slow")
        await asyncio.wait_for(write(db, 2), timeout=60)
        assert (await seal(db))[0] == 2
    assert (await seal(db))[0] == 1
    assert (await verify(db)).broken == []


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        (("update audit set detail = '{}' where seq = 3",), [(3, "the line was changed")]),
        (("update audit set actor = 'person:bob' where seq = 1",), [(1, "the line was changed")]),
        (
            ("update audit set at = at + interval '1 microsecond' where seq = 7",),
            [(7, "the line was changed")],
        ),
        (("delete from audit where seq = 4",), [(5, "lines 4 to 4 are missing")]),
        (("delete from audit where seq < 3",), [(3, "lines 1 to 2 are missing")]),
        (
            (
                "delete from audit where seq = 4",
                "update audit set seq = seq - 1 where seq = 5",
            ),
            [(4, "the line was changed"), (6, "lines 5 to 5 are missing")],
        ),
        (
            (
                "update audit set seq = -1 where seq = 2",
                "update audit set seq = 2 where seq = 3",
                "update audit set seq = 3 where seq = -1",
            ),
            [(2, "the line was changed"), (3, "the line was changed"), (4, "the line was changed")],
        ),
        (
            (
                """update audit a set subject = b.subject, detail = b.detail from audit b
                   where a.seq = 2 and b.seq = 6""",
            ),
            [(2, "the line was changed")],
        ),
        (("delete from audit where seq > 6",), [(8, "the chain ends before the head")]),
        (
            ("update audit set seq = null, hash = null",),
            [(8, "the chain ends before the head")],
        ),
    ],
)
async def test_verify_finds_every_tampering(
    db: Database, statements: tuple[str, ...], broken: list[tuple[int, str]]
) -> None:
    await write(db, 8)
    _, head = await seal(db)
    await tamper(db, *statements)
    found = (await verify(db, noted=head)).broken
    assert [b.seq for b in found] == [seq for seq, _ in broken]
    assert all(b.what.startswith(words) for b, (_, words) in zip(found, broken, strict=True))


async def test_verify_finds_rebuilt_chain(db: Database) -> None:
    await write(db, 8)
    _, head = await seal(db)
    await tamper(db, "update audit set actor = 'person:bob', seq = null, hash = null")
    await seal(db)
    assert (await verify(db)).broken == []
    (found,) = (await verify(db, noted=head)).broken
    assert found.what.startswith("the chain is another")


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set actor = 'person:bob'",
        "update audit set detail = '{}', seq = 99, hash = '' where seq is null",
        "delete from audit",
        "truncate audit",
        "update audit set seq = seq + 100 where seq is not null",
    ],
)
async def test_database_refuses_changes_to_audit(db: Database, statement: str) -> None:
    await write(db, 2)
    await seal(db, 1)
    async with db.begin() as c:
        driver = (await c.get_raw_connection()).driver_connection
        assert driver is not None
        with pytest.raises(psycopg.Error, match="only ever added to"):
            await driver.execute(statement)


@pytest.mark.parametrize(
    "text", ["", "7", "7:", "7:zz", "x:" + "00" * 32, "0:" + "00" * 32, "7:00"]
)
def test_bad_head_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no head of the audit"):
        Head.parse(text)


async def test_page_filters_lines(db: Database) -> None:
    async with db.begin() as c:
        for actor, action, subject in (
            ("person:ada", "alert.submit", "1"),
            ("person:ada key:phone", "alert.cancel", "1"),
            ("person:adam", "alert.submit", "2"),
            ("person:a_a", "key.create", "2"),
            ("key:gauges", "alerting.odd", "3"),
        ):
            await audit_log.record(c, actor, action, subject)

    async def found(**wanted: object) -> list[str]:
        async with db.begin() as c:
            return [e.actor for e in await audit_log.page(c, **wanted)]  # type: ignore[arg-type]

    assert await found(subjects=["1"]) == ["person:ada key:phone", "person:ada"]
    assert await found(actor="person:ada") == ["person:ada key:phone", "person:ada"]
    assert await found(actor="person:a_a") == ["person:a_a"]
    assert await found(action="alert") == ["person:adam", "person:ada key:phone", "person:ada"]
    assert await found(action="alert.cancel") == ["person:ada key:phone"]
    assert await found(limit=1) == ["key:gauges"]
    now = datetime.now(UTC)
    assert await found(since=now + timedelta(hours=1)) == []
    assert await found(until=now - timedelta(hours=1)) == []
    assert len(await found(since=now - timedelta(hours=1), until=now + timedelta(hours=1))) == 5
    async with db.begin() as c:
        first = (await audit_log.page(c, limit=2))[-1].id
    assert await found(before=first, limit=2) == ["person:adam", "person:ada key:phone"]

"""Rosters: consent of their own, passes that follow addresses, and what a drill must name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from alerting.audience.register import read_row
from alerting.domain import drill_pass
from alerting.domain.alert import Alert, MsgType, Scope, Status
from alerting.drills import rosters
from alerting.errors import BadInput, Conflict, NotFound
from alerting.store.citizens import roster_rows as store
from alerting.store.citizens.import_citizens import merge
from alerting.store.db import Database, raw
from alerting.store.schema import address, audit, citizen, roster_pass

DRILL = Alert(
    "1", "s@example.org", datetime(2026, 11, 1, 6, tzinfo=UTC), Status.EXERCISE, MsgType.ALERT,
    Scope.RESTRICTED, addresses=("blue",),
)  # fmt: skip


async def register(db: Database, *lines: dict[str, str]) -> None:
    async with db.begin() as c:
        await merge(await raw(c), [read_row(line) for line in lines])


async def people(db: Database, *refs: str) -> None:
    await register(
        db,
        *(
            {"ref": r, "sms": f"+44770090010{n}", "email": f"{r}@example.org", "groups": "blue"}
            for n, r in enumerate(refs)
        ),
    )


async def make(db: Database, name: str, refs: Iterable[str]) -> None:
    async with db.begin() as c:
        await rosters.create(c, name, by="test")
        await rosters.add(c, name, list(refs), source="form 7", by="test")


async def passes(db: Database) -> dict[str, bool]:
    """Every address that has a pass, and whether it fits."""
    query = select(address.c.channel, address.c.endpoint, roster_pass.c["pass"]).join(
        address, address.c.id == roster_pass.c.address_id
    )
    async with db.begin() as c:
        key = await rosters.key(c)
        return {e: drill_pass.fits(key, ch, e, p) for ch, e, p in await c.execute(query)}


async def test_member_has_a_pass_per_address_until_leaving(db: Database) -> None:
    await people(db, "a", "b")
    await make(db, "blue", ["a", "a"])
    await make(db, "red", ["a", "b"])
    mine = {"a@example.org": True, "+447700900100": True}
    assert await passes(db) == mine | {"b@example.org": True, "+447700900101": True}
    async with db.begin() as c:
        assert await rosters.remove(c, "red", ["a", "b"], by="test") == 2
        assert await rosters.remove(c, "red", ["b"], by="test") == 0
    assert await passes(db) == mine
    async with db.begin() as c:
        at = await c.scalar(select(address.c.id).where(address.c.endpoint == "a@example.org"))
        await rosters.leave_all(c, at or 0, actor="citizen")
        with pytest.raises(NotFound):
            await rosters.leave_all(c, 10**9, actor="citizen")
    assert await passes(db) == {}
    async with db.begin() as c:
        assert [r.to_json() | {"created_at": ""} for r in await store.listing(c)] == [
            {"name": "blue", "members": 0, "left": 1, "unready": 0, "created_at": "",
             "created_by": "test"},
            {"name": "red", "members": 0, "left": 2, "unready": 0, "created_at": "",
             "created_by": "test"},
        ]  # fmt: skip


async def test_member_returns_only_by_new_consent(db: Database) -> None:
    await people(db, "a", "b")
    await make(db, "blue", ["a"])
    async with db.begin() as c:
        await rosters.remove(c, "blue", ["a"], by="test")
    async with db.begin() as c:
        with pytest.raises(BadInput, match=r"left blue and have not consented again: a.*--source"):
            await rosters.add(c, "blue", ["b", "a"], source="", by="test")
    async with db.begin() as c:
        assert await store.count_members(c, ["blue"]) == 0
        assert await rosters.add(c, "blue", ["b"], source="", by="test") == 1
        assert await rosters.add(c, "blue", ["a", "b"], source="form 9", by="test") == 1
        a, b = await rosters.members(c, "blue")
    assert (a.citizen, a.source, a.left_at) == ("a", "form 9", None)
    assert b.source == "entered by test", "whoever takes part already is left as they are"


async def test_import_keeps_membership_and_new_address_is_found(
    db: Database,
) -> None:
    await people(db, "a")
    await make(db, "blue", ["a"])
    await register(db, {"ref": "a", "email": "new@example.org", "groups": ""})
    assert await passes(db) == {}
    async with db.begin() as c:
        (listed,) = await store.listing(c)
        assert (listed.members, listed.unready) == (1, 1)
        await rosters.prepare(c, ["blue"])
        assert (await store.listing(c))[0].unready == 0
    assert await passes(db) == {"new@example.org": True}
    # Changed in place, which an import does not do but somebody may.
    async with db.begin() as c:
        await c.execute(address.update().values(endpoint="newer@example.org"))
    assert await passes(db) == {"newer@example.org": False}
    async with db.begin() as c:
        await rosters.prepare(c, ["blue"])
    assert await passes(db) == {"newer@example.org": True}


async def waiting(db: Database) -> bool:
    """Whether a statement on this database waits for a lock."""
    async with db.begin() as c:
        query = (
            "select count(*) > 0 from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        return bool((await c.exec_driver_sql(query)).scalar())


async def test_member_leaving_while_passes_are_made_has_none(db: Database) -> None:
    await people(db, "a")
    await make(db, "blue", ["a"])
    async with db.begin() as c:
        await c.execute(roster_pass.delete())
    async with db.begin() as planning:
        await rosters.prepare(planning, ["blue"])

        async def leave() -> None:
            async with db.begin() as c:
                await rosters.remove(c, "blue", ["a"], by="test")

        leaving = asyncio.create_task(leave())
        while not await waiting(db):
            assert not leaving.done()
            await asyncio.sleep(0.01)
        assert not leaving.done()
    await leaving
    assert await passes(db) == {}


async def test_deleted_citizen_leaves_nothing_behind(db: Database) -> None:
    await people(db, "a", "b")
    await make(db, "blue", ["a", "b"])
    async with db.begin() as c:
        await c.execute(citizen.delete().where(citizen.c.ref == "a"))
        assert await store.count_members(c, ["blue"]) == 1
    assert set(await passes(db)) == {"b@example.org", "+447700900101"}


@pytest.mark.parametrize("name", ["", " blue", 'a"b', "a\nb", "x" * 81])
async def test_bad_roster_name_is_refused(db: Database, name: str) -> None:
    async with db.begin() as c:
        with pytest.raises(BadInput, match="A roster's name must"):
            await rosters.create(c, name, by="test")


async def test_unknown_roster_or_member_changes_nothing(db: Database) -> None:
    await people(db, "a")
    await make(db, "blue", ["a"])
    for wrong in (
        rosters_add("green", ["a"], NotFound, "There is no roster green"),
        rosters_add("blue", ["x", "a", "y"], NotFound, "no citizen x, y"),
        rosters_add("blue", ["a"], BadInput, "one line", source="a\nb"),
    ):
        async with db.begin() as c:
            await wrong(c)
    async with db.begin() as c:
        with pytest.raises(Conflict, match="There is a roster blue already"):
            await rosters.create(c, "blue", by="test")
        assert [m.source for m in await rosters.members(c, "blue")] == ["form 7"]
        done = set(await c.scalars(select(audit.c.action)))
    assert done == {"roster.create", "roster.add"}


def rosters_add(name, refs, error, words, source=""):
    async def wrong(connection):
        with pytest.raises(error, match=words):
            await rosters.add(connection, name, refs, source=source, by="test")

    return wrong


@pytest.mark.parametrize("msg_type", [MsgType.ALERT, MsgType.UPDATE, MsgType.CANCEL])
@pytest.mark.parametrize("status", [Status.EXERCISE, Status.TEST])
async def test_drill_must_name_existing_rosters(
    db: Database, msg_type: MsgType, status: Status
) -> None:
    await people(db, "a")
    drill = replace(DRILL, msg_type=msg_type, status=status)
    async with db.begin() as c:
        with pytest.raises(BadInput, match=r"no roster blue.*none yet.*group of the register"):
            await rosters.require(c, drill)
    await make(db, "blue", ["a"])
    async with db.begin() as c:
        await rosters.require(c, drill)
        with pytest.raises(BadInput, match=r"no roster Blue\. Rosters are: blue"):
            await rosters.require(c, replace(drill, addresses=("blue", "Blue")))
        with pytest.raises(BadInput, match=rf"status {status} .* names none\. Rosters are: blue"):
            await rosters.require(c, replace(drill, addresses=()))


async def test_actual_or_recorded_alert_needs_no_roster(db: Database) -> None:
    async with db.begin() as c:
        for alert in (
            replace(DRILL, status=Status.ACTUAL),
            replace(DRILL, status=Status.SYSTEM),
            replace(DRILL, status=Status.DRAFT),
            replace(DRILL, msg_type=MsgType.ACK),
            replace(DRILL, msg_type=MsgType.ERROR),
        ):
            await rosters.require(c, alert)


async def test_drill_for_many_is_held(db: Database) -> None:
    await people(db, "a", "b", "c")
    await make(db, "blue", ["a", "b"])
    await make(db, "red", ["b", "c"])
    both = replace(DRILL, addresses=("blue", "red"))
    async with db.begin() as c:
        assert await rosters.too_many(c, both, most=3) is None
        reason = await rosters.too_many(c, both, most=2)
        assert reason is not None
        assert reason.startswith("Its rosters have 3 members, more than the 2 ")
        assert await rosters.too_many(c, DRILL, most=2) is None
        assert await rosters.too_many(c, replace(both, msg_type=MsgType.CANCEL), most=2) is None
        assert await rosters.too_many(c, replace(both, status=Status.ACTUAL), most=2) is None
        await rosters.remove(c, "red", ["c"], by="test")
        assert await rosters.too_many(c, both, most=2) is None

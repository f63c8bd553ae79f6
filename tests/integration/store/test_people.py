"""Persons and keys as stored: who may add them, what they may have, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from alembic import command
from shapely import box
from sqlalchemy import create_engine, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from alerting.domain.alert import Status
from alerting.domain.principal import RIGHTS, Principal, internal
from alerting.errors import AlertingError, BadInput, Conflict, Forbidden, NotAllowed, NotFound
from alerting.store import migrate
from alerting.store.admin import api_keys, stored_people
from alerting.store.admin.stored_people import Person
from alerting.store.db import Database, driver_url
from alerting.store.schema import api_key, audit

TEST = internal("test")


async def add(c: AsyncConnection, name: str, *rights: str, **more: Any) -> Person:
    values = {"by": TEST, "rights": rights or RIGHTS, "senders": ("*",), **more}
    return await stored_people.add(c, name, **values)


async def test_first_person_needs_no_approver(db: Database) -> None:
    async with db.begin() as c:
        with pytest.raises(BadInput, match="needs the right 'people'"):
            await add(c, "ada", "submit", by=None)
        ada = await add(c, "ada", by=None, uid=1000)
        with pytest.raises(Forbidden, match="Only the first person"):
            await add(c, "ben", by=None)
        ben = await add(c, "ben", "submit", "read", by=ada.principal)
        with pytest.raises(Forbidden, match="person:ben does not have the right 'people'"):
            await add(c, "zoe", by=ben.principal)
        assert [p.name for p in await stored_people.every(c)] == ["ada", "ben"]
        assert (await stored_people.by_uid(c, 1000)) == ada
        assert await stored_people.by_uid(c, 1001) is None
        lines = select(audit.c.actor, audit.c.action, audit.c.subject).order_by(audit.c.id)
        assert [tuple(row) for row in await c.execute(lines)] == [
            ("person:ada", "person.add", "ada"), ("person:ada", "person.add", "ben"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("a b", {}, "is no name"),
        ("key:x", {}, "is no name"),
        ("", {}, "is no name"),
        ("x" * 101, {}, "is no name"),
        ("x\u200f", {}, "is no name"),
        ("zoe", {"rights": ["fly"]}, "There is no right 'fly'"),
        ("zoe", {"rights": []}, "needs a right"),
        ("zoe", {"senders": ()}, "not said for which senders"),
        ("zoe", {"senders": ("[ab]@x",)}, "is no sender"),
        ("zoe", {"senders": ("a b",)}, "is no sender"),
        ("ada", {}, "A person named 'ada' exists"),
        ("zoe", {"uid": 1000}, "ada has the uid 1000"),
    ],
)
async def test_bad_person_is_refused(
    db: Database, name: str, changes: dict[str, Any], words: str
) -> None:
    async with db.begin() as c:
        await add(c, "ada", uid=1000)
        with pytest.raises(AlertingError, match=words):
            await add(c, name, **changes)
        assert len(await stored_people.every(c)) == 1


async def test_ended_person_loses_rights_and_frees_account(db: Database) -> None:
    async with db.begin() as c:
        await add(c, "chief")
        ada = await add(c, "ada", "submit", uid=1000)
        key = await api_keys.create(c, "ada-1", ["submit"], by=TEST, owner=ada)
        await stored_people.end(c, "ada", by=TEST)
        with pytest.raises(NotAllowed):
            await api_keys.verify(c, key)
        # Nor by a key that was not revoked with them.
        await c.execute(update(api_key).values(revoked_at=None))
        with pytest.raises(NotAllowed, match="ada may no longer act here"):
            await api_keys.verify(c, key)
        assert await stored_people.by_uid(c, 1000) is None
        for act in (stored_people.end(c, "ada", by=TEST), stored_people.named(c, "ada")):
            with pytest.raises(NotFound):
                await act
        with pytest.raises(Conflict, match="exists"):
            await add(c, "ada")
        await add(c, "ben", uid=1000)
        with pytest.raises(Forbidden):
            await stored_people.end(c, "ben", by=ada.principal)


async def test_last_administrator_cannot_be_ended(db: Database) -> None:
    async with db.begin() as c:
        await add(c, "chief")
        await add(c, "ada", "submit")
        with pytest.raises(Conflict, match="Nobody could add people"):
            await stored_people.end(c, "chief", by=TEST)
        await add(c, "other")
        await stored_people.end(c, "chief", by=TEST)


async def test_key_of_person_acts_as_the_person(db: Database) -> None:
    area = box(0, 0, 1, 1)
    async with db.begin() as c:
        ada = await add(
            c, "ada", "submit", "read", "approve", senders=("*@example.org",),
            statuses=[Status.ACTUAL, Status.TEST], area=area,
        )  # fmt: skip
        key = await api_keys.create(c, "ada-1", ["submit", "approve"], by=TEST, owner=ada)
        found = await api_keys.verify(c, key)
        assert (found.person, found.unassigned) == ("ada", False)
        who = found.principal
        assert (who.actor, who.person_id) == ("person:ada key:ada-1", ada.id)
        assert who.rights == {"submit", "approve"}
        assert who.senders == ("*@example.org",)
        assert who.statuses == {Status.ACTUAL, Status.TEST}
        assert who.area is not None
        assert who.area.equals(area)
        assert [k.principal for k in await api_keys.every(c)] == [who]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rights": ["policy"]}, "more than person:ada has: the right 'policy'"),
        ({"senders": ("*",)}, "the sender '\\*'"),
        ({"statuses": [Status.ACTUAL]}, "the status Actual"),
        ({"area": box(0, 0, 2, 2)}, "an area"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "expired already"),
        ({"name": "other"}, "A key named 'other' exists"),
        ({"owner": None, "rights": ["approve"]}, "A machine does not have the right 'approve'"),
        ({"owner": None, "rights": ["people"]}, "A machine does not have the right 'people'"),
        ({"owner": None}, "not said for which senders"),
        (
            {"by": Principal("person:x", rights=frozenset({"submit"}))},
            "not have the right 'people'",
        ),
    ],
)
async def test_key_has_at_most_rights_of_its_person(
    db: Database, changes: dict[str, Any], words: str
) -> None:
    async with db.begin() as c:
        ada = await add(
            c, "ada", "submit", "read", "approve", senders=("*@example.org",),
            statuses=[Status.EXERCISE], area=box(0, 0, 1, 1),
        )  # fmt: skip
        await api_keys.create(c, "other", ["read"], by=TEST)
        values = {"name": "k", "rights": ["submit"], "by": TEST, "owner": ada, **changes}
        with pytest.raises(AlertingError, match=words):
            await api_keys.create(c, **values)
        assert len(await api_keys.every(c)) == 1


async def test_key_inherits_holders_of_its_maker(db: Database) -> None:
    async with db.begin() as c:
        ada, zoe = await add(c, "ada"), await add(c, "zoe")
        own = await api_keys.create(c, "ada-1", RIGHTS, by=ada.principal, owner=ada)
        first = (await api_keys.verify(c, own)).principal
        assert first.holders == set()
        minted = await api_keys.create(c, "zoe-1", RIGHTS, by=first, owner=zoe)
        second = (await api_keys.verify(c, minted)).principal
        assert second.holders == {ada.id}
        again = await api_keys.create(c, "zoe-2", RIGHTS, by=second, owner=zoe)
        assert (await api_keys.verify(c, again)).principal.holders == {ada.id}
        machine = await api_keys.create(c, "gauges", ["submit"], by=second, senders=("*",))
        assert (await api_keys.verify(c, machine)).principal.persons == {ada.id, zoe.id}


async def test_key_expires_by_database_clock(db: Database) -> None:
    async with db.begin() as c:
        soon = datetime.now(UTC) + timedelta(hours=1)
        key = await api_keys.create(c, "k", ["read"], by=TEST, expires_at=soon)
        assert (await api_keys.verify(c, key)).expires_at == soon
        await c.execute(update(api_key).values(expires_at=func.now()))
        with pytest.raises(NotAllowed, match="has expired"):
            await api_keys.verify(c, key)


async def test_rotated_key_has_a_new_secret(db: Database) -> None:
    async with db.begin() as c:
        ada, ben = await add(c, "ada"), await add(c, "ben")
        old = await api_keys.create(
            c, "ben-phone", ["submit"], by=ada.principal, owner=ben, senders=["b@example.org"]
        )
        with pytest.raises(NotFound, match="no live key named 'ben-watch'"):
            await api_keys.rotate(c, "ben-watch", by=ada.principal)
        with pytest.raises(Forbidden):
            await api_keys.rotate(c, "ben-phone", by=Principal("key:x"))
        before = (await api_keys.verify(c, old)).principal
        new = await api_keys.rotate(c, "ben-phone", by=TEST)
        with pytest.raises(NotAllowed, match="not valid"):
            await api_keys.verify(c, old)
        after = (await api_keys.verify(c, new)).principal
        assert (after.actor, after.rights, after.senders, after.person_id) == (
            before.actor, before.rights, before.senders, before.person_id,
        )  # fmt: skip
        row = (await c.execute(select(api_key.c.holders))).scalar_one()
        assert row == [ada.id], "whoever had seen the old one may have what was done by it"
        await api_keys.revoke(c, "ben-phone", by=TEST)
        with pytest.raises(NotFound):
            await api_keys.rotate(c, "ben-phone", by=TEST)
        actions = [a for (a,) in await c.execute(select(audit.c.action)) if a.startswith("key.")]
        assert actions == ["key.create", "key.rotate", "key.revoke"]


async def unassigned(c: AsyncConnection, *rights: str) -> str:
    """A key as the version before made it."""
    secret = "s" * 64
    await c.execute(
        insert(api_key).values(
            prefix="0123456789", name="old", sha256=api_keys._digest(secret), rights=list(rights)
        )
    )
    return f"ak_0123456789_{secret}"


async def test_unassigned_key_is_assigned_once(db: Database) -> None:
    async with db.begin() as c:
        ada = await add(c, "ada", "submit", "approve", senders=("*@example.org",))
        key = await unassigned(c, "submit", "read", "approve")
        before = await api_keys.verify(c, key)
        assert before.unassigned
        assert before.principal == Principal(
            "key:old", rights=frozenset({"submit", "read", "approve"})
        )
        found = await api_keys.assign(c, "old", owner=ada, by=TEST)
        assert found == await api_keys.verify(c, key)
        assert (found.principal.actor, found.principal.rights) == (
            "person:ada key:old", {"submit", "approve"},
        )  # fmt: skip
        with pytest.raises(Conflict, match="has an owner"):
            await api_keys.assign(c, "old", owner=None, by=TEST)


async def test_machine_key_cannot_approve(db: Database) -> None:
    async with db.begin() as c:
        key = await unassigned(c, "submit", "approve")
        await api_keys.assign(c, "old", owner=None, by=TEST)
        found = await api_keys.verify(c, key)
        assert (found.principal.rights, found.principal.actor) == ({"submit"}, "key:old")
        assert not found.unassigned


async def test_approve_only_key_cannot_be_a_machine_key(db: Database) -> None:
    async with db.begin() as c:
        await unassigned(c, "approve")
        with pytest.raises(Conflict, match="could then do nothing"):
            await api_keys.assign(c, "old", owner=None, by=TEST)


def test_migrated_keys_keep_their_rights(empty_database_url: str) -> None:
    engine = create_engine(driver_url(empty_database_url), poolclass=NullPool)
    with engine.connect() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.commit()
    engine.dispose()
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(
            "insert into api_key (prefix, name, sha256, rights)"
            " values ('0123456789', 'old', '', '{submit,approve}')"
        )
        connection.execute(
            "insert into policy (name, toml, sha256, state, changed_by) values"
            " ('p', '', 'a', 'past', 'key:x'), ('p', '', 'b', 'past', 'key:x'),"
            " ('p', '', 'c', 'live', 'key:x'), ('p', '', 'd', 'shadow', 'key:x')"
        )
        connection.execute(
            "insert into audit (actor, action, subject, detail) values"
            " ('key:x', 'policy.set', 'p', '{\"version\": 1}'),"
            " ('key:x', 'policy.shadow', 'p', '{\"version\": 2}')"
        )
        migrate.migrate(empty_database_url)
        found = connection.execute(
            "select senders, statuses, area, expires_at, person_id, unassigned from api_key"
        ).fetchall()
        assert found == [(["*"], [s.value for s in Status], None, None, None, True)]
        trials = connection.execute("select trial from policy order by version").fetchall()
        assert [t for (t,) in trials] == [False, True, False, True]

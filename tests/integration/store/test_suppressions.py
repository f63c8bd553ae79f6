"""Stop means stop: for an endpoint, in every spelling, by every row, before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, select
from sqlalchemy.pool import NullPool

from alerting.audience.register import read_row
from alerting.channels.registry import masked, names
from alerting.domain.endpoint import normal_form
from alerting.store import migrate as migrating
from alerting.store.citizens import directory, suppressions
from alerting.store.citizens.import_citizens import merge
from alerting.store.citizens.suppressions import Endpoint, Source
from alerting.store.db import Database, driver_url, raw
from alerting.store.migrate import migrate
from alerting.store.schema import address

FAMILY = Endpoint("email", "family@example.net")


async def register(db: Database, *lines: dict[str, str]) -> None:
    async with db.begin() as c:
        merged = await merge(await raw(c), [read_row(line) for line in lines])
        await suppressions.start(c, merged.came_back, actor="register", revive=False)


def mail(ref: str, endpoint: str, **more: str) -> dict[str, str]:
    return {"ref": ref, "email": endpoint, **more}


async def usable(db: Database) -> set[str]:
    """The endpoints that planner and sender may use, as the register spells them."""
    async with db.begin() as c:
        driver = await raw(c)
        rows = await (await driver.execute("select id from citizen order by id")).fetchall()
        found = await directory.contacts(driver, [r[0] for r in rows], names())
        ids = [address_id for _, _, _, address_id, may in found if may]
        query = select(address.c.endpoint).where(address.c.id.in_(ids))
        return set(await c.scalars(query))


async def stop(db: Database, *endpoints: Endpoint, source: Source = Source.LINK) -> None:
    async with db.begin() as c:
        await suppressions.stop(c, endpoints, source, actor="test")


async def start(db: Database, *endpoints: Endpoint, revive: bool = False) -> int:
    async with db.begin() as c:
        return await suppressions.start(c, endpoints, actor="test", revive=revive)


async def test_stop_applies_to_every_row_and_spelling(db: Database) -> None:
    await register(
        db,
        mail("a", "family@example.net"),
        mail("b", "Family@Example.NET"),
        mail("c", "other@example.net"),
    )
    await stop(db, FAMILY)
    assert await usable(db) == {"other@example.net"}


async def test_stop_applies_to_later_rows(db: Database) -> None:
    await stop(db, FAMILY, Endpoint("sms", "+447700900123"))
    await register(
        db,
        mail("a", "FAMILY@example.net", consent="email", verified="email"),
        {"ref": "b", "sms": "+44 7700 900123", "verified": "sms"},
    )
    assert await usable(db) == set()
    # Nor when the citizen has a new key, or the line changes.
    await register(
        db,
        mail("new-key", "family@example.net"),
        mail("a", "FAMILY@example.net", language="fr", consent="email", verified="email"),
    )
    assert await usable(db) == set()


async def test_start_restores_what_its_stop_took(db: Database) -> None:
    await register(
        db,
        mail("a", "family@example.net"),
        mail("b", "Family@example.net"),
        mail("never", "FAMILY@example.net", consent="sms"),
    )
    await stop(db, FAMILY)
    await stop(db, FAMILY)
    assert await start(db, Endpoint("email", "fAMILY@example.net")) == 3
    assert await usable(db) == {"family@example.net", "Family@example.net"}
    assert await start(db, FAMILY) == 0


async def test_register_changes_between_stop_and_start_count(db: Database) -> None:
    await register(db, mail("a", "family@example.net"), mail("b", "Family@example.net"))
    await stop(db, FAMILY)
    await register(db, mail("a", "family@example.net", consent="sms"))
    await start(db, FAMILY)
    assert await usable(db) == {"Family@example.net"}


async def test_new_spelling_keeps_unsubscribe_links(db: Database) -> None:
    await register(db, mail("a", "solo@example.net"))
    async with db.begin() as c:
        before = await c.scalar(select(address.c.id))
    await register(db, mail("a", "Solo@example.net"))
    async with db.begin() as c:
        rows = (await c.execute(select(address.c.id, address.c.endpoint))).all()
        assert [tuple(r) for r in rows] == [(before, "Solo@example.net")]
        assert await directory.leave(c, before or 0, actor="citizen") == ("email", rows[0].endpoint)
    assert await usable(db) == set()


async def test_carrier_suppression_counts_until_register_changes(db: Database) -> None:
    line = {"ref": "a", "sms": "+447700900981"}
    await register(db, line, {"ref": "b", "sms": "+447700900981"})
    async with db.begin() as c:
        first = await c.scalar(select(address.c.id).limit(1))
        await directory.suspend(c, {"opted-out": [first or 0]})
    assert await usable(db) == set()
    await register(db, line | {"language": "fr"}, line | {"ref": "c"})
    assert await usable(db) == set()
    await register(db, line | {"verified": "sms", "consent": "sms"})
    assert await usable(db) == {"+447700900981"}


async def test_own_opt_out_is_not_undone_by_register(db: Database) -> None:
    line = {"ref": "a", "sms": "+447700900981"}
    await register(db, line)
    number = Endpoint("sms", "+447700900981")
    await stop(db, number, source=Source.CARRIER)
    await stop(db, number, source=Source.REPLY)
    await stop(db, number, source=Source.CARRIER)
    await register(db, line | {"verified": "sms", "consent": "sms"})
    assert await usable(db) == set()
    async with db.begin() as c:
        found = await suppressions.of_endpoint(c, number)
    assert found is not None
    assert found.source is Source.REPLY


async def test_dead_address_returns_when_verified_again(db: Database) -> None:
    await register(db, mail("a", "a@example.org"), mail("b", "b@example.org"))
    async with db.begin() as c:
        ids = list(await c.scalars(select(address.c.id)))
        await directory.suspend(c, {"dead-address": ids})
    assert await usable(db) == set()
    await register(db, mail("a", "a@example.org", language="fr"))
    assert await usable(db) == set()
    await register(db, mail("a", "a@example.org", verified="email"))
    assert await usable(db) == {"a@example.org"}
    assert await start(db, Endpoint("email", "B@example.org"), revive=True) == 1
    assert await usable(db) == {"a@example.org", "b@example.org"}


async def test_stop_during_import_is_not_missed(db: Database) -> None:
    """The import has its rows, and has not committed them, when the stop is said."""
    async with db.begin() as importing:
        await merge(await raw(importing), [read_row(mail("a", "family@example.net"))])
        stopping = asyncio.create_task(stop(db, FAMILY))
        waits = "select count(*) from pg_locks where not granted"
        async with asyncio.timeout(60):
            while not await _count(db, waits):  # noqa: ASYNC110 - PostgreSQL rings no bell
                await asyncio.sleep(0.01)
    await stopping
    assert await usable(db) == set()


async def _count(db: Database, query: str) -> int:
    async with db.begin() as c:
        return int((await c.exec_driver_sql(query)).scalar_one())


async def test_stop_scans_no_table(db: Database) -> None:
    fill = """
        insert into citizen (ref, channels) select 'r' || n, '{email}'
          from generate_series(1, 20000) as n;
        insert into address (citizen_id, channel, endpoint)
          select id, 'email', 'c' || id || '@example.org' from citizen;
        update address set endpoint = upper(endpoint), folded = endpoint where id % 20 = 0;
        analyze"""
    async with db.begin() as c:
        driver = await raw(c)
        await driver.execute(fill)
        for query in (suppressions.MARK, suppressions.GIVE_BACK, suppressions._REVIVE):
            values = {"channels": ["email"], "endpoints": ["c40@example.org"]}
            cursor = await driver.execute("explain (format json) " + query, values)
            (plan,) = (await cursor.fetchone() or ([],))[0]
            assert "address" not in set(scanned(plan["Plan"])), query


def scanned(plan: dict[str, Any]) -> Sequence[str]:
    here = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return here + [name for part in plan.get("Plans", ()) for name in scanned(part)]


@pytest.fixture
def before_url(empty_database_url: str) -> str:
    """A database as the revision before suppressions left it."""
    engine = create_engine(driver_url(empty_database_url), poolclass=NullPool)
    with engine.connect() as connection:
        config = migrating._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0012")
        connection.commit()
    engine.dispose()
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(
            """insert into citizen (ref, channels)
               select r, '{}' from unnest(array['a','b','c','d','e','f']) as r"""
        )
        for ref, channel, endpoint, more in (
            ("a", "email", "Left@example.net", (False, True, None)),
            ("b", "email", "left@example.net", (True, False, None)),
            ("c", "email", "LEFT@example.net", (False, False, None)),
            ("d", "sms", "+447700900981", (True, False, "opted-out")),
            ("e", "sms", "+447700900981", (True, False, None)),
            ("f", "sms", "+447700900982", (True, False, "dead-address")),
        ):
            connection.execute(
                """insert into address (citizen_id, channel, endpoint, consent, withdrawn_at,
                      suspended_reason)
                   select id, %s, %s, %s, case when %s then now() end, %s
                   from citizen where ref = %s""",
                (channel, endpoint, *more, ref),
            )
    return empty_database_url


async def test_earlier_withdrawal_applies_to_all_rows(before_url: str) -> None:
    migrate(before_url)
    db = Database(before_url)
    try:
        assert await usable(db) == set()
        await register(db, mail("g", "lEFT@example.net"), {"ref": "h", "sms": "+447700900981"})
        assert await usable(db) == set()
        await start(db, Endpoint("email", "left@example.net"))
        assert await usable(db) == {"Left@example.net", "left@example.net", "lEFT@example.net"}
        number = Endpoint("sms", "+447700900981")
        async with db.begin() as c:
            found = await suppressions.of_endpoint(c, number)
        assert found is not None
        assert found.source is Source.CARRIER
        await start(db, number)
        assert "+447700900981" in await usable(db)
        assert "+447700900982" not in await usable(db)
    finally:
        await db.close()


@pytest.mark.parametrize(
    ("channel", "one", "other"),
    [
        ("email", " Family@Example.NET ", "family@example.net"),
        ("email", "MU\N{COMBINING DIAERESIS}LLER@example.org", "müller@example.org"),
        ("email", "STRASSE@example.org", "straße@example.org"),
        ("push", "HTTPS://Push.Example.ORG/aB?c=D", "https://push.example.org/aB?c=D"),
        ("push", "https://push.example.org:443/aB", "https://push.example.org/aB"),
        ("push", "https://push.example.org:/aB", "https://push.example.org/aB"),
        ("push", "https://push.example.org/aB#x", "https://push.example.org/aB"),
        ("push", "https://push.example.org", "https://PUSH.example.org:443/#"),
    ],
)
def test_spellings_of_one_endpoint_are_equal(channel: str, one: str, other: str) -> None:
    assert normal_form(channel, one) == normal_form(channel, other)


@pytest.mark.parametrize(
    "other",
    [
        "https://push.example.org/ab",
        "https://push.example.org/aB/",
        "https://push.example.org/a%42",
        "https://push.example.org/aB?",
        "https://push.example.org:8443/aB",
        "https://push.example.org.example.net/aB",
        "http://push.example.org/aB",
    ],
)
def test_push_endpoints_that_differ_are_two(other: str) -> None:
    assert normal_form("push", "https://push.example.org/aB") != normal_form("push", other)


async def test_push_opt_out_applies_to_every_spelling(db: Database) -> None:
    async with db.begin() as c:
        await suppressions.stop(
            c, [Endpoint("push", "https://Push.Example.org:443/aB")], Source.LINK, actor="test"
        )
        for spelt in ("https://push.example.org/aB", "HTTPS://push.example.org/aB#x"):
            assert await suppressions.of_endpoint(c, Endpoint("push", spelt)) is not None


@pytest.mark.parametrize(
    ("channel", "endpoint", "shown"),
    [
        ("email", "family@example.net", "f…@example.net"),
        ("sms", "+447700900123", "+44…23"),
        ("push", "https://push.example.org/secret", "this device"),
    ],
)
def test_endpoint_is_shown_masked(channel: str, endpoint: str, shown: str) -> None:
    assert masked(channel, endpoint) == shown

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from alerting.errors import BadInput, NotFound
from alerting.store.admin import stored_silences
from alerting.store.admin.stored_silences import StoredSilence
from alerting.store.db import Database
from alerting.store.schema import audit

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
MATCHERS = [{"field": "event", "op": "=", "value": "Flood"}]


async def add(
    db: Database, *, start: timedelta = -HOUR, end: timedelta = HOUR, id_: UUID | None = None
) -> StoredSilence:
    async with db.begin() as c:
        return await stored_silences.add(
            c, id_ or uuid4(), matchers=MATCHERS, area=None, starts_at=NOW + start,
            ends_at=NOW + end, comment="Why", by="cli:a",
        )  # fmt: skip


async def test_silence_round_trips(db: Database) -> None:
    area = {"circle": ["50,8 10"]}
    async with db.begin() as c:
        written = await stored_silences.add(
            c, uuid4(), matchers=MATCHERS, area=area, starts_at=NOW, ends_at=NOW + HOUR,
            comment="Why", by="cli:a",
        )  # fmt: skip
    plain = await add(db)
    async with db.begin() as c:
        found = {s.id: s for s in await stored_silences.every(c, now=NOW)}
    assert found == {written.id: written, plain.id: plain}
    assert (written.matchers, written.area, plain.area) == (MATCHERS, area, None)


async def test_expired_or_ended_silences_are_not_listed(db: Database) -> None:
    holds, comes = await add(db), await add(db, start=HOUR, end=2 * HOUR)
    over, ended = await add(db, end=timedelta(0)), await add(db)
    async with db.begin() as c:
        await stored_silences.end(c, str(ended.id), by="cli:b", now=NOW)
    async with db.begin() as c:
        standing = {s.id for s in await stored_silences.in_force(c, NOW)}
        listed = {s.id for s in await stored_silences.every(c, now=NOW)}
        everything = {s.id for s in await stored_silences.every(c, now=NOW, over=True)}
    assert standing == listed == {holds.id, comes.id}
    assert everything == {holds.id, comes.id, over.id, ended.id}


async def test_ending_is_recorded_once(db: Database) -> None:
    s = await add(db)
    async with db.begin() as c:
        ended = await stored_silences.end(c, str(s.id).upper()[:8], by="cli:b", now=NOW)
    assert (ended.id, ended.ended_by, ended.ended_at) == (s.id, "cli:b", NOW)
    async with db.begin() as c:
        with pytest.raises(NotFound, match="There is no silence"):
            await stored_silences.end(c, str(s.id), by="cli:c", now=NOW)
        rows = await c.execute(select(audit.c.actor, audit.c.action, audit.c.subject))
        assert {tuple(row) for row in rows} == {
            ("cli:a", "silence.add", str(s.id)), ("cli:b", "silence.end", str(s.id)),
        }  # fmt: skip


async def test_ambiguous_prefix_ends_nothing(db: Database) -> None:
    ids = [UUID(f"abcdef00-0000-4000-8000-00000000000{n}") for n in range(2)]
    for i in ids:
        await add(db, id_=i)
    async with db.begin() as c:
        with pytest.raises(BadInput, match="Several silences begin with abcdef"):
            await stored_silences.end(c, "abcdef", by="cli:b", now=NOW)
        assert len(await stored_silences.in_force(c, NOW)) == 2


@pytest.mark.parametrize("name", ["", "abc", "%%%%%%%%", "x" * 36, "a" * 37, "abcdef\0"])
async def test_bad_id_is_refused(db: Database, name: str) -> None:
    await add(db)
    async with db.begin() as c:
        with pytest.raises(BadInput, match="is no silence's id"):
            await stored_silences.end(c, name, by="cli:b", now=NOW)

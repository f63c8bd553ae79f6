from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from alerting.clock import ManualClock
from alerting.dispatch.evaluation import policies, silences
from alerting.dispatch.evaluation.policies import PolicyCache
from alerting.domain.principal import internal
from alerting.errors import BadInput, NotFound
from alerting.store.admin import policy_versions as store
from alerting.store.db import Database
from alerting.throttle.policy.parse import default_policy
from alerting.throttle.silence.matcher import Matcher

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
ONE, TWO = "[budget]\nspacing_s = 60\n", "[budget]\nspacing_s = 120\n"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def cache(db: Database, clock: ManualClock) -> PolicyCache:
    return PolicyCache(db, max_age_s=5, clock=clock)


async def set_live(db: Database, toml: str) -> int:
    async with db.begin() as c:
        return await policies.set_live(c, toml, by=internal("a"))


async def silence(db: Database) -> None:
    async with db.begin() as c:
        await silences.add(
            c, matchers=[Matcher.parse("event=Flood")], area={"circle": ["50,8 10"]},
            starts_at=None, ends_at=NOW + timedelta(hours=1), comment="Why", by="cli:a", now=NOW,
        )  # fmt: skip


async def test_default_policy_is_version_0(db: Database, cache: PolicyCache) -> None:
    async with db.begin() as c:
        assert await policies.live(c) == policies.Versioned(0, default_policy())
        assert await policies.shadow(c) is None
    found = await cache.in_force()
    assert (found.live, found.live_version, found.shadow, found.silences) == (
        default_policy(), 0, None, (),
    )  # fmt: skip


async def test_policy_with_error_changes_nothing(db: Database) -> None:
    await set_live(db, ONE)
    for change in (policies.set_live, policies.set_shadow):
        with pytest.raises(BadInput, match=r"line 2: there is no key budget\.spacing"):
            async with db.begin() as c:
                await change(c, "[budget]\nspacing = 1", by=internal("a"))
        with pytest.raises(BadInput, match="A note is plain text"):
            async with db.begin() as c:
                await change(c, TWO, by=internal("a"), note="\0")
    async with db.begin() as c:
        assert [p.toml for p in await store.history(c)] == [ONE]


async def test_rollback_stores_old_text_as_new_version(db: Database) -> None:
    first, second = await set_live(db, ONE), await set_live(db, TWO)
    async with db.begin() as c:
        third = await policies.rollback(c, first, by=internal("b"))
        found = await policies.live(c)
    assert first < second < third
    assert (found.version, found.policy.budget.spacing_s) == (third, 60)
    async with db.begin() as c:
        await policies.rollback(c, 0, by=internal("b"))
        assert (await policies.live(c)).policy == default_policy()
        assert (await store.history(c))[0].note == "Version 0 again"
        with pytest.raises(NotFound):
            await policies.rollback(c, 99, by=internal("b"))


async def test_cache_follows_change_within_max_age(
    db: Database, cache: PolicyCache, clock: ManualClock
) -> None:
    await cache.in_force()
    version = await set_live(db, ONE)
    async with db.begin() as c:
        beside = await policies.set_shadow(c, TWO, by=internal("a"))
    await silence(db)
    clock.advance(4.9)
    assert (await cache.in_force()).live_version == 0
    clock.advance(0.1)
    found = await cache.in_force()
    assert (found.live_version, found.live.budget.spacing_s) == (version, 60)
    assert found.shadow is not None
    assert (found.shadow_version, found.shadow.budget.spacing_s) == (beside, 120)
    assert [str(m) for s in found.silences for m in s.matchers] == ["event=Flood"]
    async with db.begin() as c:
        await policies.clear_shadow(c, by=internal("a"))
    clock.advance(5)
    assert (await cache.in_force()).shadow is None


async def test_cache_refreshes_after_clock_set_back(
    db: Database, cache: PolicyCache, clock: ManualClock
) -> None:
    await cache.in_force()
    version = await set_live(db, ONE)
    clock.advance(-3600)
    assert (await cache.in_force()).live_version == version


async def test_cache_keeps_last_policy_when_database_fails(
    db: Database, cache: PolicyCache, clock: ManualClock
) -> None:
    version = await set_live(db, ONE)
    await silence(db)
    good = await cache.in_force()
    assert good.live_version == version
    async with db.begin() as c:
        await c.exec_driver_sql("alter table policy rename to elsewhere")
    clock.advance(5)
    assert await cache.in_force() == good
    async with db.begin() as c:
        await c.exec_driver_sql("alter table elsewhere rename to policy")
    newer = await set_live(db, TWO)
    assert await cache.in_force() == good, "it is not asked again at once"
    clock.advance(5)
    assert (await cache.in_force()).live_version == newer


async def test_cache_uses_default_when_database_never_answered(clock: ManualClock) -> None:
    gone = Database("postgresql://nobody@127.0.0.1:9/none")
    try:
        assert (await PolicyCache(gone, clock=clock).in_force()).live == default_policy()
    finally:
        await gone.close()


async def test_cache_does_not_wait_for_hanging_database(db: Database, clock: ManualClock) -> None:
    version = await set_live(db, ONE)
    impatient = PolicyCache(db, patience_s=0.2, clock=clock)
    async with db.begin() as c:
        await c.exec_driver_sql("lock table policy in access exclusive mode")
        assert (await impatient.in_force()).live_version == 0
    clock.advance(5)
    assert (await PolicyCache(db, clock=clock).in_force()).live_version == version


async def test_cache_refuses_stored_text_that_no_longer_parses(
    db: Database, cache: PolicyCache, clock: ManualClock
) -> None:
    version = await set_live(db, ONE)
    await cache.in_force()
    async with db.begin() as c:
        for role in ("live", "shadow"):
            await store.put(c, "[gone]\nkey = 1", role=role, name="p", by=internal("a"))  # type: ignore[arg-type]
    await silence(db)
    clock.advance(5)
    found = await cache.in_force()
    assert (found.live_version, found.live.budget.spacing_s, found.shadow) == (version, 60, None)
    assert len(found.silences) == 1, "what can be read holds"
    async with db.begin() as c:
        assert await policies.live(c) == policies.Versioned(0, default_policy())
        assert await policies.shadow(c) is None
        assert (await policies.describe(c))["in_force"] == 0


async def test_cache_reads_once_for_concurrent_callers(
    db: Database, cache: PolicyCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    current = store.current

    async def counted(connection: object, role: str) -> object:
        asked.append(role)
        return await current(connection, role)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "current", counted)
    found = await asyncio.gather(*(cache.in_force() for _ in range(20)))
    assert sorted(asked) == ["live", "shadow"]
    assert all(f is found[0] for f in found)


@pytest.mark.parametrize(
    ("area", "ends", "words"),
    [
        ({"circle": ["here"]}, 1, "The area's circle.0: takes a centre"),
        ({"polygon": ["1,1 2,2"]}, 1, "The area's polygon.0"),
        ({"place": []}, 1, "The area's place"),
        ({}, 1, "The area is empty"),
        (None, -1, "must end after it starts"),
    ],
)
async def test_bad_silence_is_not_stored(
    db: Database, area: dict[str, object] | None, ends: int, words: str
) -> None:
    async with db.begin() as c:
        with pytest.raises(BadInput, match=words):
            await silences.add(
                c, matchers=[Matcher.parse("event=Flood")], area=area, starts_at=None,
                ends_at=NOW + timedelta(hours=ends), comment="Why", by="cli:a", now=NOW,
            )  # fmt: skip
        assert await silences.standing(c, NOW) == ()


async def test_silence_in_the_past_is_refused(db: Database) -> None:
    async with db.begin() as c:
        with pytest.raises(BadInput, match="would be over already"):
            await silences.add(
                c, matchers=[Matcher.parse("event=Flood")], area=None,
                starts_at=NOW - timedelta(hours=2), ends_at=NOW, comment="Why", by="cli:a", now=NOW,
            )  # fmt: skip

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select

from alerting.domain.principal import internal
from alerting.errors import NotFound
from alerting.store.admin import policy_versions
from alerting.store.db import Database
from alerting.store.schema import alert, audit

ONE, TWO = "[budget]\nspacing_s = 60\n", "[budget]\nspacing_s = 120\n"


async def put(db: Database, toml: str, role: policy_versions.Role = "live", note: str = "") -> int:
    async with db.begin() as c:
        stored = await policy_versions.put(
            c, toml, role=role, name="p.toml", by=internal("a"), note=note
        )
    return stored.version


async def an_alert(db: Database) -> UUID:
    alert_id, at = uuid4(), datetime(2026, 11, 1, tzinfo=UTC)
    values: dict[str, Any] = {
        "id": alert_id, "sender": "s", "identifier": str(alert_id), "sent_at": at,
        "status": "Actual", "msg_type": "Alert", "scope": "Public", "lane": "routine",
        "thread_id": alert_id, "event_id": alert_id, "document": {}, "source": b"",
        "source_hash": b"",
        "state": "completed", "expires_at": at, "submitted_by": "test",
    }  # fmt: skip
    async with db.begin() as c:
        await c.execute(insert(alert).values(values))
    return alert_id


async def test_nothing_is_in_force_at_first(db: Database) -> None:
    async with db.begin() as c:
        assert await policy_versions.current(c, "live") is None
        assert await policy_versions.current(c, "shadow") is None
        assert await policy_versions.last_shadow(c) is None
        assert await policy_versions.history(c) == []


async def test_new_version_retires_the_previous(db: Database) -> None:
    first = await put(db, ONE)
    second = await put(db, TWO, note="Quieter")
    async with db.begin() as c:
        live = await policy_versions.current(c, "live")
        found = await policy_versions.history(c)
    assert live is not None
    assert (live.version, live.toml, live.note, live.changed_by) == (
        second, TWO, "Quieter", "a",
    )  # fmt: skip
    assert live.sha256 == hashlib.sha256(TWO.encode()).digest()
    assert [(p.version, p.state) for p in found] == [(second, "live"), (first, "past")]


async def test_same_text_is_no_new_version(db: Database) -> None:
    assert await put(db, ONE) == await put(db, ONE, note="again")
    async with db.begin() as c:
        assert len(await policy_versions.history(c)) == 1


async def test_each_change_is_recorded_in_the_audit(db: Database) -> None:
    await put(db, ONE)
    await put(db, TWO, "shadow")
    async with db.begin() as c:
        assert await policy_versions.clear(
            c, "shadow", by=internal("b"), action="policy.shadow-off"
        )
        assert not await policy_versions.clear(
            c, "shadow", by=internal("b"), action="policy.shadow-off"
        )
    async with db.begin() as c:
        rows = await c.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.id))
        assert [tuple(row) for row in rows] == [
            ("a", "policy.set"), ("a", "policy.shadow"), ("b", "policy.shadow-off"),
        ]  # fmt: skip


async def test_live_and_shadow_are_independent(db: Database) -> None:
    live = await put(db, ONE)
    first_shadow = await put(db, ONE, "shadow")
    shadow = await put(db, TWO, "shadow")
    async with db.begin() as c:
        found = {p.version: p.state for p in await policy_versions.history(c)}
    assert found == {live: "live", first_shadow: "past", shadow: "shadow"}


async def test_concurrent_changes_leave_one_live(db: Database) -> None:
    texts = [f"[budget]\nspacing_s = {n}\n" for n in range(8)]
    await asyncio.gather(*(put(db, t) for t in texts))
    async with db.begin() as c:
        states = [p.state for p in await policy_versions.history(c)]
    assert states == ["live"] + ["past"] * 7


@pytest.mark.parametrize("version", [0, 7, -1, 2**40])
async def test_unknown_version_is_not_found(db: Database, version: int) -> None:
    async with db.begin() as c:
        with pytest.raises(NotFound, match=f"no policy version {version}"):
            await policy_versions.get(c, version)


async def test_shadow_differences_add_up(db: Database) -> None:
    version, alerts = await put(db, TWO, "shadow"), [await an_alert(db), await an_alert(db)]
    same, other = ("send", "new", "send", "new"), ("send", "new", "defer", "budget")
    for alert_id, counts in [
        (alerts[0], {same: 900, other: 100}), (alerts[0], {same: 50}), (alerts[1], {other: 1}),
        (alerts[1], {}),
    ]:  # fmt: skip
        async with db.begin() as c:
            await policy_versions.add_shadow_counts(c, version, alert_id, counts)
    async with db.begin() as c:
        rows = await policy_versions.shadow_report(c, version)
    assert [(r.count, r.alerts, r.same) for r in rows] == [(950, 1, True), (101, 2, False)]


async def test_concurrent_counts_are_not_lost(db: Database) -> None:
    version, alert_id = await put(db, TWO, "shadow"), await an_alert(db)
    keys = [("send", "new", verdict, "x") for verdict in "abcdefgh"]

    async def count(forward: bool) -> None:
        order = keys if forward else keys[::-1]
        async with db.begin() as c:
            await policy_versions.add_shadow_counts(c, version, alert_id, dict.fromkeys(order, 1))

    await asyncio.gather(*(count(n % 2 == 0) for n in range(10)))
    async with db.begin() as c:
        rows = await policy_versions.shadow_report(c, version)
    assert [r.count for r in rows] == [10] * len(keys)


async def test_report_is_of_running_or_last_counting_shadow(
    db: Database,
) -> None:
    first = await put(db, ONE, "shadow")
    alert_id = await an_alert(db)
    async with db.begin() as c:
        await policy_versions.add_shadow_counts(
            c, first, alert_id, {("send", "new", "drop", "x"): 1}
        )
        await policy_versions.clear(c, "shadow", by=internal("a"), action="policy.shadow-off")
    async with db.begin() as c:
        found = await policy_versions.last_shadow(c)
    assert found is not None
    assert found.version == first
    running = await put(db, TWO, "shadow")
    async with db.begin() as c:
        found = await policy_versions.last_shadow(c)
    assert found is not None
    assert found.version == running

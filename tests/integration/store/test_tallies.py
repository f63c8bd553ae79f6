"""What is said of an alert's deliveries is exact, whoever wrote them, and is found without looking
at them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from alerting.domain.delivery import DeliveryState
from alerting.store.db import Database
from alerting.store.ledger import delivery_queries, planning, tallies
from alerting.store.ledger.outcomes import OutcomeRow, record_outcomes
from alerting.store.ledger.planning import NewDelivery
from alerting.store.schema import CHUNK_SPAN

SIZE = 50


async def an_alert(c: AsyncConnection, chunks: Sequence[int], **values: Any) -> UUID:
    """An alert with planned deliveries by SMS in these chunks."""
    alert_id = uuid4()
    await c.execute(
        text(
            """insert into alert (id, sender, identifier, sent_at, status, msg_type, scope, lane,
                 thread_id, event_id, document, source, source_hash, state, expires_at,
                 submitted_by)
               values (:id, 's', :name, now(), 'Actual', 'Alert', 'Public', 'routine', :id, :id,
                 '{}', '', '', 'delivering', now() + interval '1 day', 'test')"""
        ),
        {"id": alert_id, "name": str(alert_id)},
    )
    for chunk_id in chunks:
        await c.execute(
            text(
                """insert into outbox (id, alert_id, kind, lane, channel, size)
                   overriding system value
                   values (:chunk, :id, 'deliver', 'routine', 'sms', :size)"""
            ),
            {"chunk": chunk_id, "id": alert_id, "size": SIZE},
        )
        rows = [NewDelivery(chunk_id * SIZE + n, n, 0, 0) for n in range(SIZE)]
        await planning.add(c, alert_id, [(chunk_id, "sms", rows)])
    return alert_id


async def counted(c: AsyncConnection, alert_id: UUID) -> Counter[tuple[str, str, str]]:
    """By looking at every delivery."""
    rows = await c.execute(
        text("select channel, state, reason from delivery where alert_id = :id"), {"id": alert_id}
    )
    return Counter((r.channel, r.state, r.reason) for r in rows)


async def tallied(c: AsyncConnection, alert_id: UUID) -> Counter[tuple[str, str, str]]:
    assert await tallies.is_tallied(c, alert_id)
    rows = await delivery_queries.counts(c, alert_id)
    assert all(row[-1] > 0 for row in rows)
    return Counter({tuple(row[:3]): row[3] for row in rows})


def any_outcome(dice: random.Random, delivery_id: int) -> OutcomeRow:
    state = dice.choice(
        [
            DeliveryState.ACCEPTED,
            DeliveryState.FAILED,
            DeliveryState.SUPPRESSED,
            DeliveryState.DEFERRED,
            DeliveryState.PLANNED,
        ]
    )
    return OutcomeRow(delivery_id, state, dice.choice(["new", "quiet-hours", "x"]), tried=1)


@pytest.mark.parametrize("seed", range(4))
async def test_counts_are_exact_after_any_write(db: Database, seed: int) -> None:
    dice = random.Random(seed)
    chunks = [[1, 2, 3], [4, 5]]
    async with db.begin() as c:
        ids = [await an_alert(c, some) for some in chunks]
        now = await c.scalar(text("select now()"))
    every = [n * CHUNK_SPAN + seq for some in chunks for n in some for seq in range(SIZE)]
    for turn in range(30):
        async with db.begin() as c:
            match dice.randrange(5):
                case 0 | 1:
                    some = dice.sample(every, dice.choice([1, 20, 200]))
                    await record_outcomes(c, [any_outcome(dice, i) for i in some], now=now)
                case 2:
                    # What a program of before, or somebody at psql, may write.
                    query = "update delivery set state = 'delivered' where id % 7 = :n"
                    await c.execute(text(query), {"n": turn % 7})
                case 3:
                    query = "delete from delivery where id % 97 = :n"
                    await c.execute(text(query), {"n": turn % 97})
                case 4:
                    await tallies.add_up(c, limit=dice.choice([1, 3, 1000]))
            for alert_id in ids:
                assert await tallied(c, alert_id) == await counted(c, alert_id)
    async with db.begin() as c:
        while (await tallies.add_up(c, limit=3))[0] == 3:
            pass
        for alert_id in ids:
            assert await tallied(c, alert_id) == await counted(c, alert_id)
        assert await c.scalar(text("select count(*) from delivery_tally where count <= 0")) == 0
        assert await c.scalar(text("select count(*) from delivery_tally_delta")) == 0


async def test_rolled_back_writes_are_not_counted(db: Database) -> None:
    async with db.begin() as c:
        alert_id = await an_alert(c, [1])
        undone = await c.begin_nested()
        await c.execute(text("update delivery set state = 'failed'"))
        await undone.rollback()
    async with db.begin() as c:
        assert await tallied(c, alert_id) == {("sms", "planned", ""): SIZE}


async def test_concurrent_writes_block_nobody_and_are_counted(database_url: str) -> None:
    db = Database(database_url)
    async with db.begin() as c:
        alert_id = await an_alert(c, range(1, 9))

    async def work(chunk_id: int) -> None:
        for state in ("accepted", "delivered"):
            for seq in range(0, SIZE, 10):
                async with db.begin() as c:
                    await c.execute(
                        text("update delivery set state = :state where id >= :a and id < :b"),
                        {
                            "state": state,
                            "a": chunk_id * CHUNK_SPAN + seq,
                            "b": chunk_id * CHUNK_SPAN + seq + 10,
                        },
                    )

    async def add_up() -> None:
        for _ in range(40):
            async with db.begin() as c:
                await tallies.add_up(c, limit=5)

    async with asyncio.timeout(60):
        await asyncio.gather(add_up(), *(work(n) for n in range(1, 9)))
    async with db.begin() as c:
        assert await tallied(c, alert_id) == {("sms", "delivered", ""): 8 * SIZE}
    await db.close()


async def test_latencies_are_within_two_per_cent(db: Database) -> None:
    async with db.begin() as c:
        alert_id = await an_alert(c, range(1, 5))
        begun: datetime = await c.scalar(text("select submitted_at from alert"))
        dice = random.Random(5)
        for chunk_id in range(1, 5):
            for seq in range(SIZE):
                await c.execute(
                    text("update delivery set state = 'accepted', accepted_at = :at where id = :i"),
                    {
                        "i": chunk_id * CHUNK_SPAN + seq,
                        "at": begun + timedelta(seconds=dice.lognormvariate(1, 1)),
                    },
                )
        ((channel, *found),) = await delivery_queries.latencies(c, alert_id)
        await c.execute(text("update alert set tallied = false"))
        ((_, *exact),) = await delivery_queries.latencies(c, alert_id)
    assert channel == "sms"
    # Between two neighbours of 200 a percentile is anything.
    assert found[0] == pytest.approx(exact[0], rel=0.04)
    assert found[3] == pytest.approx(exact[3], rel=0.0101)
    assert found == sorted(found)


async def test_older_alert_is_counted_from_its_deliveries(db: Database) -> None:
    async with db.begin() as c:
        alert_id = await an_alert(c, [1])
        await c.execute(text("update alert set tallied = false"))
        await c.execute(text("delete from delivery_tally_delta"))
        assert await delivery_queries.counts(c, alert_id) == [("sms", "planned", "", SIZE)]
        # What is written from now on would be half of it.
        await c.execute(text("update delivery set state = 'failed' where id % 2 = 0"))
        assert await c.scalar(text("select count(*) from delivery_tally_delta")) == 0
        assert await delivery_queries.counts(c, alert_id) == [
            ("sms", "failed", "", SIZE // 2),
            ("sms", "planned", "", SIZE // 2),
        ]

"""The bench of retention runs, and its judge refuses."""

from __future__ import annotations

import json
from uuid import UUID

import psycopg
import pytest
from click.testing import CliRunner

from alerting.errors import WorkFailed
from lab.bench.command import bench
from lab.bench.retention import ledger


def test_ledger_is_filled_and_pruned() -> None:
    done = CliRunner().invoke(bench, ["retention", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    found = json.loads(done.stdout)["benches"]["retention"]
    assert found["deliveries"] == 6_000
    first, second, last = found["rounds"]
    for r in (first, second):
        # Deleting makes no file larger; the sums that are kept stand elsewhere.
        assert 0 < r["vacuumed_bytes"] <= r["pruned_bytes"] * 1.1
        assert r["per_second"] > 0
    assert last["filled_bytes"] > 0
    assert "prune_s" not in last
    assert all(target["measured"] is not None for target in found["targets"])


@pytest.mark.parametrize(
    "harm",
    [
        "delete from delivery where id = (select max(id) from delivery)",
        "delete from receipt where id = (select max(id) from receipt)",
        "insert into receipt (channel, delivery_id, status) values ('sms', 1, 'lost')",
        "update pruned_delivery set count = count - 1",
        "delete from pruned_delivery",
        None,
    ],
)
def test_judge_finds_missing_or_remaining_rows(database_url: str, harm: str | None) -> None:
    with psycopg.connect(database_url, autocommit=True) as db:
        kept = ledger.fill(db, 30, age_days=1)
        gone = ledger.fill(db, 0, age_days=500)
        db.execute("update alert set pruned_at = now() where id = %s", (gone,))
        db.execute("insert into pruned_delivery values (%s, 'sms', 'delivered', '', 20)", (gone,))
        counts: tuple[dict[UUID, int], dict[UUID, int]] = {kept: 30}, {gone: 20}
        if harm is None:
            ledger.judge(db, kept=counts[0], pruned=counts[1])
            return
        db.execute(harm)
        with pytest.raises(WorkFailed):
            ledger.judge(db, kept=counts[0], pruned=counts[1])

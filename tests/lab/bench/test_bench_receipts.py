"""The receipts' bench runs in its smallest size, and its judge can find somebody guilty."""

from __future__ import annotations

import json
from dataclasses import replace

from click.testing import CliRunner
from sizes import only_long

from lab.bench.command import bench
from lab.bench.receipts import receipts
from lab.bench.receipts.client import Book


@only_long
def test_receipts_end_to_end_lose_nothing() -> None:
    done = CliRunner().invoke(bench, ["receipts", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    found = json.loads(done.stdout)["benches"]["receipts"]
    assert found["kill"]["lost"] == 0
    assert found["kill"]["kept"] == receipts.QUICK.killed
    assert 0 < found["kill"]["answered_before"] < receipts.QUICK.killed
    assert found["applied"]["wrong_state"] == 0
    assert found["refused"] == 0
    for rate in ("plain_per_s", "ours_per_s"):
        assert found[rate] > 0


def test_rate_omits_start_and_end() -> None:
    steady = [n / 100 for n in range(1000)]
    book = Book(list(range(1000)), steady, 0, 0, 0.0)
    assert round(book.per_second()) == 100
    late = replace(book, at_s=[*steady[:-1], 60.0])
    assert round(late.per_second()) == 100
    assert late.longest_gap_s() > 50
    assert Book([], [], 0, 0, 0.0).per_second() == 0


def test_course_has_every_order_and_duplicates() -> None:
    callbacks, ends = receipts._course(range(2000))
    assert set(ends.values()) == {"delivered", "failed"}
    assert len(callbacks) > len(set(callbacks)) > len(ends)
    place = {(c.delivery_id, c.status): n for n, c in enumerate(callbacks)}
    sent = [n for n in range(0, 2000, 5) if n % 100]
    before = sum(place[n, "sent"] < place[n, "delivered"] for n in sent)
    assert 0 < before < len(sent)

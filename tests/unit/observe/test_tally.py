from __future__ import annotations

import pytest
from prometheus_client import REGISTRY, generate_latest

from alerting.observe.tally import Tally, Timings


def test_tally_exports_like_the_prometheus_client() -> None:
    tally = Tally("alerting_test_things", "Things", ("kind",))
    timings = Timings("alerting_test_seconds", "Times", ("kind",), (0.1, 1))
    try:
        tally.add("a")
        tally.add("a", count=2)
        for seconds in (0.1, 0.5, 7):
            timings.add(seconds, "b")
        lines = [x for x in generate_latest(REGISTRY).decode().splitlines() if "_test_" in x]
    finally:
        REGISTRY.unregister(tally)
        REGISTRY.unregister(timings)
    assert [x for x in lines if not x.startswith("#")] == [
        'alerting_test_things_total{kind="a"} 3.0',
        'alerting_test_seconds_bucket{kind="b",le="0.1"} 1.0',
        'alerting_test_seconds_bucket{kind="b",le="1"} 2.0',
        'alerting_test_seconds_bucket{kind="b",le="+Inf"} 3.0',
        'alerting_test_seconds_count{kind="b"} 3.0',
        'alerting_test_seconds_sum{kind="b"} 7.6',
    ]
    assert "# TYPE alerting_test_things_total counter" in lines


def test_duplicate_name_is_refused() -> None:
    tally = Tally("alerting_test_once", "Things", ())
    try:
        with pytest.raises(ValueError, match="Duplicated"):
            Tally("alerting_test_once", "Things", ())
    finally:
        REGISTRY.unregister(tally)

"""The bench of overtaking runs, and refuses what must not be believed."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from uuid import uuid4

import pytest
from sizes import only_long

from alerting.errors import WorkFailed
from lab.bench.overtake import overtake
from lab.bench.overtake.overtake import ratio
from lab.bench.overtake.subject import Flight, Ledger, Passage, Sent, judge
from lab.bench.population import District, districts
from lab.bench.report import Options
from lab.bench.stubs.clocked import Taken

FLIGHT = Flight(3, 2, 1, (1,), 0)


def flown() -> tuple[list[Sent], District, list[Taken]]:
    """One idle Extreme, one loaded one, and a light alert that reached one of three."""
    idle, loaded, light = districts([2, 2, 3])
    sent = [Sent(uuid4(), idle, 10.0, False), Sent(uuid4(), loaded, 20.0, True)]
    taken = [
        Taken(10.5, 1), Taken(11.0, 2), Taken(19.0, 5), Taken(20.1, 5), Taken(20.5, 3),
        Taken(22.0, 4),
    ]  # fmt: skip
    return sent, light, taken


def ledger_of(taken: list[Taken], **changed: object) -> Ledger:
    values: dict[str, object] = {
        "accepted": Counter(t.number for t in taken),
        "doubtful": 0,
        "by_alert": {"Alert extreme": 4, "Alert routine": 1, "Cancel severe": 1},
    }
    return Ledger(**(values | changed))  # type: ignore[arg-type]


def test_times_count_from_each_submission() -> None:
    sent, light, taken = flown()
    found = judge(sent, light, taken, ledger_of(taken))
    assert [p.taken_s for p in found.passages] == [
        pytest.approx((0.5, 1.0)), pytest.approx((0.5, 2.0)),
    ]  # fmt: skip
    assert found.passages[1].beside == pytest.approx(0.5)
    assert (found.light, found.notices) == (1, 1)


def test_cancel_time_counts_from_request() -> None:
    sent, light, taken = flown()
    sent[1] = replace(sent[1], cancelled_at_s=23.0)
    taken += [Taken(23.5, 4), Taken(25.0, 3)]
    by_alert = {"Alert extreme": 4, "Alert routine": 1, "Cancel severe": 3}
    found = judge(sent, light, taken, ledger_of(taken, by_alert=by_alert))
    assert [p.taken_s for p in found.passages][1] == pytest.approx((0.5, 2.0))
    assert [p.cancel_s for p in found.passages] == [(), pytest.approx((0.5, 2.0))]
    assert (found.light, found.notices) == (1, 1)


def test_message_unknown_to_the_ledger_is_refused() -> None:
    sent, light, taken = flown()
    with pytest.raises(WorkFailed, match=r"log has 1 messages the ledger has not"):
        judge(sent, light, [*taken, Taken(23, 3)], ledger_of(taken))


def test_duplicated_or_missing_extreme_is_refused() -> None:
    sent, light, taken = flown()
    doubled = [*taken, Taken(23, 3)]
    with pytest.raises(WorkFailed, match="1 of an Extreme's messages"):
        judge(sent, light, doubled, ledger_of(doubled))
    missing = [t for t in taken if t.number != 4]
    with pytest.raises(WorkFailed, match="1 of an Extreme's messages"):
        judge(sent, light, missing, ledger_of(missing))


def test_incomplete_cancel_is_refused() -> None:
    sent, light, taken = flown()
    with pytest.raises(WorkFailed, match="1 were told and 0 of the cancel"):
        judge(sent, light, taken, ledger_of(taken, by_alert={"Alert routine": 1}))


def test_doubt_is_refused() -> None:
    sent, light, taken = flown()
    with pytest.raises(WorkFailed, match="may have come twice"):
        judge(sent, light, taken, ledger_of(taken, doubtful=2))


def test_ratio_is_of_medians() -> None:
    idle = [Passage(False, (0.1, t)) for t in (1.0, 2.0, 9.0)]
    loaded = [Passage(True, (0.1, t)) for t in (3.0, 3.0, 30.0)]
    assert ratio([*idle, *loaded]) == pytest.approx(1.5)


@only_long
@pytest.mark.skipif(
    not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"),
    reason="there is no nginx to stand in for the provider: make bench-deps",
)
def test_extreme_overtakes_and_everything_is_sent_once() -> None:
    said: list[str] = []
    report = overtake.run(Options(quick=True, say=said.append))
    assert set(report.figures["ways"]) == {overtake.OURS, overtake.EACH}
    for passages in report.figures["ways"].values():
        assert {p["loaded"] for p in passages} == {True, False}
        assert all(0 < p["first_s"] <= p["p99_s"] <= p["last_s"] for p in passages)
    assert report.figures["reached_before_cancel"][overtake.OURS] > 0

"""Sums, lines and pictures of a replay."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from traces import NOON, an_alert

from alerting.domain.alert import Severity
from alerting.domain.decision import Action, Reason
from alerting.errors import BadInput
from alerting.replay.book import Detail
from alerting.replay.plot import plot
from alerting.replay.replay_delivery import Concerned, Delivery, Outcome
from alerting.replay.result import Figures, judge_grouping

MODERATE = an_alert("moderate", severity=Severity.MODERATE)


def a_delivery(action: Action, *, citizen: int = 0, reason: Reason = Reason.NEW) -> Delivery:
    return Delivery(
        MODERATE,
        Concerned(citizen, 0, 0, 1, "district=D1"),
        "push",
        action,
        reason,
        "event 1",
        thread="thread 1",
        state_before="none",
        state_after="active Moderate Immediate Shelter",
    )


def some_figures() -> Figures:
    """Citizen 0: four deliveries on day 1. Citizen 1: one on day 2, told in a digest on day 3."""
    figures = Figures(messages=5)
    for action, outcome in (
        (Action.SEND, Outcome.SENT),
        (Action.SILENT, Outcome.SILENT),
        (Action.DROP, Outcome.DROPPED),
        (Action.DEFER, Outcome.EXPIRED),
    ):
        delivery = a_delivery(action)
        figures.judged(delivery, 1, rings=True)
        figures.settled(delivery, outcome, 1, rings=outcome is Outcome.SENT)
    delivery = a_delivery(Action.DIGEST, citizen=1, reason=Reason.QUIET_HOURS)
    figures.judged(delivery, 2, rings=True)
    figures.settled(delivery, Outcome.DIGESTED, 3, rings=False)
    figures.digest_sent(1, Severity.MODERATE, 3, rings=True)
    return figures


def test_deliveries_are_counted_once() -> None:
    found = some_figures().to_json()
    counts = [found[k] for k in ("sent", "silent", "digested", "dropped")]
    assert counts == [1, 1, 1, 2]
    assert sum(counts) == found["deliveries_without_throttle"] == 5
    assert (found["interruptions"], found["digests"]) == (2, 1)
    assert found["reduction"] == 0.6
    assert found["by_reason"] == {"new": 4, "quiet-hours": 1}
    assert found["by_outcome"]["expired"] == 1
    assert found["by_severity"] == {
        "Moderate": {
            "deliveries_without_throttle": 5,
            "interruptions": 2,
            "silent": 1,
            "digested": 1,
            "dropped": 2,
        }
    }


def test_days_without_delivery_are_not_counted() -> None:
    days = some_figures().to_json()["per_citizen_day"]
    assert days["before"] == {"mean": pytest.approx(5 / 3, abs=1e-4), "p95": 3.7, "max": 4}
    assert days["after"] == {"mean": pytest.approx(2 / 3, abs=1e-4), "p95": 1.0, "max": 1}


def test_nothing_is_no_reduction() -> None:
    found = Figures().to_json()
    assert found["reduction"] == 0
    assert found["per_citizen_day"]["before"] == {"mean": 0, "p95": 0, "max": 0}


def test_detail_line_with_late_outcome(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    detail = Detail(path, ["anna", "bert"])
    waiting = [a_delivery(Action.DIGEST, citizen=n % 2) for n in range(4)]
    for d in waiting[:2]:
        detail.judged(d, None)
    detail.judged(a_delivery(Action.SEND), Outcome.SENT)
    for d, outcome in zip(waiting, (Outcome.SUPERSEDED, Outcome.SENT), strict=False):
        detail.settled(d, outcome)
    detail.judged(waiting[2], None)
    detail.settled(waiting[2], Outcome.DIGESTED)
    detail.judged(waiting[3], None)
    detail.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == [
        "superseded",
        "sent",
        "sent",
        "digested",
        "waits",
    ]
    assert lines[2] == {
        "identifier": "moderate",
        "sender": "a@example.org",
        "sent": NOON.isoformat(),
        "citizen": "anna",
        "area": "district=D1",
        "channel": "push",
        "severity": "Moderate",
        "urgency": "Immediate",
        "thread": "thread 1",
        "event": "event 1",
        "decision": "SEND",
        "reason": "new",
        "state_before": "none",
        "state_after": "active Moderate Immediate Shelter",
        "outcome": "sent",
    }


def test_detail_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        Detail(tmp_path / "none" / "d.jsonl", [])


def test_plot_is_a_png(tmp_path: Path) -> None:
    for name, figures in (("some", some_figures()), ("none", Figures())):
        path = tmp_path / f"{name}.png"
        plot(figures, path, title="A day")
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        assert width >= 1200
        assert height >= 500
    with pytest.raises(BadInput, match="cannot be written"):
        plot(Figures(), tmp_path / "none" / "x.png", title="A day")


def test_pairs_are_scored() -> None:
    right = judge_grouping([("e1", "a"), ("e1", "a"), ("e2", None), ("e3", None)])
    assert (right.precision, right.recall, right.pairs) == (1.0, 1.0, 1)
    # Two unknowns in one event are a claim, and a wrong one: each is on its own.
    mixed = judge_grouping(
        [("e1", "a"), ("e1", "a"), ("e1", "b"), ("e2", "b"), ("e3", None), ("e3", None)]
    )
    assert (mixed.found, mixed.claimed, mixed.pairs) == (1, 4, 2)
    assert mixed.to_json() == {"precision": 0.25, "recall": 0.5, "pairs": 2}
    assert judge_grouping([("e1", None)]).to_json() == {
        "precision": None,
        "recall": None,
        "pairs": 0,
    }

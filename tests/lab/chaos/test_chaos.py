"""The short run of every change: real processes, fixed seeds, judged by the carriers' logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.chaos.command import chaos


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALERTING_VAR", str(tmp_path))
    # What waits for a receipt that never comes waits less long.
    monkeypatch.setenv("ALERTING_IN_DOUBT_HOLD_S", "20")
    return tmp_path


@pytest.mark.parametrize(
    ("scenario", "citizens", "seed"),
    [
        ("short", 3000, 7),
        # Within a second of a cancel the last message has gone.
        pytest.param("cancel", 3000, 3, marks=pytest.mark.alone),
    ],
)
def test_short_run_holds(var: Path, scenario: str, citizens: int, seed: int) -> None:
    done = CliRunner().invoke(
        chaos,
        [scenario, "--citizens", str(citizens), "--seed", str(seed), "--json"],
        standalone_mode=False,
    )
    assert done.exception is None
    report = json.loads(done.stdout)
    broken = {c["name"]: c["measured"] for c in report["criteria"] if not c["holds"]}
    assert broken == {}, report
    assert (done.return_value, report["passed"]) == (0, True)
    assert report["expected"] > 500
    assert report["received"] >= report["expected"]
    assert len(report["faults"]) == report["planned_faults"] > 0
    # A run that held leaves nothing behind.
    assert list((var / "chaos").iterdir()) == []

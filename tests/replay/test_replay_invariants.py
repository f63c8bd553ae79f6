"""On generated storms and on real streams nobody is kept from what they must know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alerting.replay.population import from_register, generated
from alerting.replay.reading import read_trace
from alerting.replay.run import replay
from alerting.replay.storm import generate
from alerting.replay.storm_files import write
from alerting.throttle.policy.parse import default_policy


def _held(found: dict[str, Any]) -> None:
    """Invariants 1 and 2 for every citizen, and their nights."""
    assert found["state_changes"] > 0
    assert found["state_changes_missed"] == 0, (found["missed_by"], found["missed_examples"])
    assert found["extreme_suppressed"] == 0
    assert found["quiet_hour_violations"] == 0
    ends = ("sent", "silent", "digested", "dropped")
    assert sum(found[e] for e in ends) == found["deliveries_without_throttle"]


@pytest.mark.parametrize("seed", range(1, 5))
async def test_a_storm_keeps_nobody_in_the_dark(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "storm"
    write(generate(seed, citizens=120), folder)
    people = from_register(folder / "citizens.csv")
    result = await replay(read_trace([folder]), people, default_policy())
    found = result.to_json()
    _held(found)
    assert found["reduction"] >= 0.75


@pytest.mark.parametrize("name", ["oref-2021-05", "ukraine-2022-10"])
async def test_a_real_stream_keeps_nobody_in_the_dark(corpus: Path, name: str) -> None:
    trace = read_trace([corpus / "streams" / f"{name}.zip"])
    result = await replay(trace, generated(trace.alerts), default_policy())
    _held(result.to_json())


async def test_a_replay_is_the_same_every_time(tmp_path: Path) -> None:
    folder = tmp_path / "storm"
    write(generate(1, citizens=60), folder)
    lines = []
    for name in ("a", "b"):
        people = from_register(folder / "citizens.csv")
        path = tmp_path / name
        await replay(read_trace([folder]), people, default_policy(), detail=path)
        lines.append(path.read_bytes())
    assert lines[0] == lines[1]
    assert b'"waits"' not in lines[0]

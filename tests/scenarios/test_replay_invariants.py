"""On generated storms and on real streams nobody is kept from what they must know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from corpora import stream
from sizes import LONG, size

from alerting.domain.alert import Severity
from alerting.replay.population import MIXES, from_register, generated, with_channels
from alerting.replay.result import Result
from alerting.replay.simulation import replay
from alerting.replay.storm_trace import generate, write
from alerting.replay.trace import read_trace
from alerting.throttle.policy.parse import default_policy

#: Alerts of a real stream.
_MOST = size(700, 10**6)
#: Its citizens have each another channel: it has a little of all the others.
_MIXES = MIXES if LONG else ["mixed"]

_HIGH_PRIORITY = {Severity.EXTREME, Severity.SEVERE}


def _held(result: Result) -> None:
    """Nobody misses, or hears late, what is Severe or Extreme; and nights are quiet."""
    found = result.findings
    assert found.changes.total() > 0
    assert [f for f in (*found.missed, *found.late) if f.severity in _HIGH_PRIORITY] == []
    assert found.wrong_ends == 0
    assert found.quiet_hour_violations == 0
    assert found.needless_share <= 0.15
    counts = result.to_json()
    ends = ("sent", "silent", "digested", "dropped")
    assert sum(counts[e] for e in ends) == counts["deliveries_without_throttle"]


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("seed", range(1, 5))
async def test_replayed_storm_informs_everybody(tmp_path: Path, seed: int, mix: str) -> None:
    folder = tmp_path / "storm"
    write(generate(seed, citizens=120), folder)
    people = with_channels(from_register(folder / "citizens.csv"), mix)
    result = await replay(read_trace([folder]), people, default_policy())
    _held(result)
    assert result.figures.reduction >= 0.65


@pytest.mark.parametrize("mix", _MIXES)
@pytest.mark.parametrize("name", ["lafd-2022", "oref-2021-05", "ukraine-2022-10"])
async def test_replayed_real_stream_informs_everybody(corpus: Path, name: str, mix: str) -> None:
    read = stream(corpus, f"{name}.zip", _MOST)
    # A replay adds to what was refused.
    trace = replace(read, refused=[*read.refused])
    people = with_channels(generated(trace.alerts), mix)
    _held(await replay(trace, people, default_policy()))


async def test_replay_is_deterministic(tmp_path: Path) -> None:
    folder = tmp_path / "storm"
    write(generate(1, citizens=60), folder)
    lines = []
    for name in ("a", "b"):
        people = with_channels(from_register(folder / "citizens.csv"), "mixed")
        path = tmp_path / name
        await replay(read_trace([folder]), people, default_policy(), detail=path)
        lines.append(path.read_bytes())
    assert lines[0] == lines[1]
    assert b'"waits"' not in lines[0]

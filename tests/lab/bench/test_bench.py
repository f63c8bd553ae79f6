"""The bench command: everything runs, in its smallest sizes; whether it is fast is not tested."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sizes import only_long

from alerting.errors import BadInput
from lab import bench as benches
from lab.bench.command import bench
from lab.bench.report import Target
from lab.bench.verdicts import limiters

OTHERS = {"limits", "throttled-py", "pyrate-limiter"}


def test_verdicts_print_one_json_object(kept: Path) -> None:
    done = CliRunner().invoke(bench, ["verdicts", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    found = json.loads(done.stdout)
    assert found["quick"] is True
    verdicts = found["benches"]["verdicts"]
    assert json.loads((kept / "verdicts.json").read_text())["verdicts"] == verdicts
    assert verdicts["memory"]["budgets_mb"] > 0
    assert len(verdicts["ours"]) == 4
    assert {row["who"].split()[0] for row in verdicts["rivals"]} == OTHERS
    for row in (*verdicts["ours"], *verdicts["rivals"]):
        assert row["installed"]
        assert row["per_s"] > 0
    # Every rival's citizens are new and admitted: refusing would be less work.
    assert not [note for note in verdicts["notes"] if "refused" in note]
    assert all(target["measured"] is not None for target in verdicts["targets"])


def test_missing_limiter_has_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = limiters.Limiter("no-such-limiter", "GCRA", limiters.LIMITERS[0].make)
    monkeypatch.setattr("lab.bench.verdicts.verdicts.LIMITERS", (gone,))
    done = CliRunner().invoke(bench, ["verdicts", "--quick"], standalone_mode=False)
    assert done.exception is None, done.output
    (row,) = [line for line in done.stdout.splitlines() if "no-such-limiter" in line]
    assert "not installed" in row
    assert "not measured" in done.stdout


@pytest.mark.skipif(
    not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"),
    reason="there is no nginx to stand in for the provider: make bench-deps",
)
def test_sms_end_to_end_beside_alternatives() -> None:
    done = CliRunner().invoke(bench, ["sms", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    sms = json.loads(done.stdout)["benches"]["sms"]
    assert set(sms["per_second"]) == {"ours", "a Celery task a message", "bare aiohttp loop"}
    assert all(rate > 0 for rates in sms["per_second"].values() for rate in rates)


def test_unknown_name_is_refused_with_the_known() -> None:
    done = CliRunner().invoke(bench, ["verdict"], standalone_mode=False)
    assert isinstance(done.exception, BadInput)
    assert done.exception.exit_code == 2
    assert str(done.exception).startswith("There is no bench verdict. There are: ")
    assert "verdicts" in done.exception.remedy


def test_wrong_name_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.verdicts.verdicts.run", lambda _: pytest.fail("it ran"))
    done = CliRunner().invoke(bench, ["verdicts", "other"], standalone_mode=False)
    assert isinstance(done.exception, BadInput)


@pytest.mark.parametrize("name", benches.BENCHES)
def test_every_bench_imports(name: str) -> None:
    assert callable(benches.find(name))
    assert sys.modules[benches.BENCHES[name][0].partition(":")[0]]


@pytest.mark.parametrize(
    ("measured", "at_most", "reached"),
    [(10, False, True), (9.9, False, False), (10, True, True), (10.1, True, False),
     (None, False, False), (None, True, False)],
)  # fmt: skip
def test_target_is_reached_at_its_figure(
    measured: float | None, at_most: bool, reached: bool
) -> None:
    assert Target("speed", 10, measured, at_most).reached is reached


@only_long
@pytest.mark.skipif(
    not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"),
    reason="there is no nginx to stand in for the provider: make bench-deps",
)
def test_cost_of_a_message() -> None:
    done = CliRunner().invoke(bench, ["memory", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    memory = json.loads(done.stdout)["benches"]["memory"]
    alerts = memory["alerts"]
    assert [a["citizens"] for a in alerts] == [300, 600]
    for alert in alerts:
        assert {"workers", "PostgreSQL"} <= {name for name, s in alert["cpu_s"].items() if s > 0}
        # A window of sixty-four is at least one commit, and every row is logged.
        assert alert["commits"] > alert["citizens"] / 64
        assert alert["wal_bytes"] > 100 * alert["citizens"]
        assert 50 < alert["worker_mb"] < 500
    statements = memory["statements"]
    assert statements["citizens"] == 300
    by_text = {s["statement"]: s["calls_per_thousand"] for s in statements["costliest"]}
    # A commit for each window of sixty-four at least; the bench's own questions do not count.
    assert 1000 / 64 < by_text["COMMIT"] < statements["per_thousand"] < 10_000
    assert not any("pg_locks where locktype" in text for text in by_text)


def test_audience_bench_finds_the_same_either_way() -> None:
    done = CliRunner().invoke(bench, ["audience", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    found = json.loads(done.stdout)["benches"]["audience"]
    assert found["citizens"] == 20_000
    for way in (*found["ours"], found["plain"]):
        # A tenth of all places; whoever has two counts once.
        assert 1_800 < way["citizens"] < 2_400
        assert 0 < way["first_s"] <= way["all_s"]

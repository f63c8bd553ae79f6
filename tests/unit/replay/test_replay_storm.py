"""The storm trace: one seed, one day; and it holds what it says it holds."""

from __future__ import annotations

import zipfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from alerting.cap import read, to_xml
from alerting.domain.alert import MsgType, Severity, Status
from alerting.errors import BadInput
from alerting.replay.concern import Concern
from alerting.replay.population import from_register
from alerting.replay.storm_trace import generate, write
from alerting.replay.trace import read_trace


def test_storm_is_reproducible_by_seed(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write(generate(7), tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    write(generate(8), tmp_path / "c.zip")
    assert (tmp_path / "a.zip").read_bytes() != (tmp_path / "c.zip").read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_storm_has_every_kind_of_message(seed: int) -> None:
    storm = generate(seed)
    alerts = storm.alerts
    assert len(alerts) == 40
    assert len({a.sender for a in alerts}) == 5
    assert max(a.sent for a in alerts) - min(a.sent for a in alerts) <= timedelta(hours=24)
    assert {a.severity for a in alerts} >= {
        Severity.EXTREME,
        Severity.SEVERE,
        Severity.MODERATE,
        Severity.MINOR,
    }
    kinds = Counter(a.msg_type for a in alerts)
    assert kinds[MsgType.UPDATE] > kinds[MsgType.ALERT] > kinds[MsgType.CANCEL] > 0
    assert [a.status for a in alerts].count(Status.EXERCISE) == 1
    assert any(len({i.language for i in a.infos}) > 1 for a in alerts)
    # Late ones arrive behind what was sent after them.
    assert [a.sent for a in alerts] != sorted(a.sent for a in alerts)
    assert all(read(to_xml(a)).alerts == (a,) for a in alerts)


def test_storm_concerns_everybody_inside(tmp_path: Path) -> None:
    write(generate(3), tmp_path / "storm")
    trace = read_trace([tmp_path / "storm"])
    population = from_register(tmp_path / "storm" / "citizens.csv")
    assert (len(trace.played), trace.refused, trace.ignored) == (40, [], 1)
    assert (len(population.citizens), population.refused) == (500, [])
    concern = Concern(population)
    counts = Counter(
        c.citizen
        for a in trace.alerts
        if a.for_public
        for c in concern.of(a, "event", partly=False)[0]
    )
    assert 430 < len(counts) < 500
    assert sum(counts.values()) / len(counts) > 20


def test_storm_zip_equals_its_folder(tmp_path: Path) -> None:
    write(generate(3), tmp_path / "storm")
    write(generate(3), tmp_path / "storm.zip")
    folder, packed = (read_trace([tmp_path / name]) for name in ("storm", "storm.zip"))
    assert folder.played == packed.played
    assert folder.truth == packed.truth
    with zipfile.ZipFile(tmp_path / "storm.zip") as archive:
        assert set(archive.namelist()) == {p.name for p in (tmp_path / "storm").iterdir()}


def test_two_storms_are_never_mixed(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("here before")
    with pytest.raises(BadInput, match="is not empty"):
        write(generate(1), tmp_path)

"""The bench of growth runs, and says where the disk has no room for it."""

from __future__ import annotations

import json
import shutil
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from sizes import only_long

from lab.bench.command import bench
from lab.bench.growth import fill, growth
from lab.bench.growth.fill import Size
from lab.bench.report import Options


@only_long
def test_digests_are_made_beside_old_rows() -> None:
    done = CliRunner().invoke(bench, ["growth", "--quick", "--json"], standalone_mode=False)
    assert done.exception is None, done.output
    found = json.loads(done.stdout)["benches"]["growth"]
    assert found["large"]["alerts"] == 1_000
    assert found["large"]["due"] == 4_000
    assert set(found["large"]["longest_s"]) == set(found["small"]["longest_s"])
    assert len(found["large"]["longest_s"]) == 9
    assert all(target["measured"] > 0 for target in found["targets"])


class Disk(NamedTuple):
    free: int


def test_fill_is_limited_by_disk_space(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = growth.FULL.deliveries * fill.BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(needed // 6))
    filled: list[Size] = []

    def measure(_: object, size: Size, __: object) -> growth.Measured:
        filled.append(size)
        return growth.Measured(
            size, 1, {"digests": [0.1]}, digests_s=1, settle_s=1, status_s=[1], submit_s=[1]
        )

    monkeypatch.setattr(growth, "_measure", measure)
    report = growth.run(Options(quick=False, say=print))
    assert filled[1].alerts == 100_000
    assert "room for 10%" in report.notes[0]

"""Plots are drawn from kept figures: valid, small, the same each time, nothing measured."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from bench_figures import FIGURES
from click.testing import CliRunner, Result
from PIL import Image

from alerting.errors import BadInput, NotFound
from lab.bench import BENCHES
from lab.bench.command import bench
from lab.bench.kept import write
from lab.bench.plots import draw
from lab.bench.report import Options
from lab.bench.verdicts import verdicts

#: What a page may carry for one picture.
_MOST_BYTES = 60_000


def keep(folder: Path, name: str, found: dict[str, Any]) -> None:
    write(folder, name, found, quick=False)


def plot(*arguments: str) -> Result:
    return CliRunner().invoke(bench, list(arguments), standalone_mode=False)


def test_every_bench_has_its_own_plot(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in BENCHES:
        monkeypatch.setattr(f"{BENCHES[name][0].replace(':', '.')}", lambda _: pytest.fail("ran"))
        keep(kept, name, FIGURES[name])
    folder = tmp_path / "new" / "images"
    done = plot("--plot", str(folder))
    assert done.exception is None, done.output
    assert done.stdout.split() == [str(folder / f"{name}.png") for name in BENCHES]
    for name in BENCHES:
        with Image.open(folder / f"{name}.png") as image:
            image.verify()
            assert image.format == "PNG"
            # Nothing in it but pixels: no program, no time.
            assert not set(image.info) - {"dpi"}
            assert image.width == 1_400
        assert 2_000 < (folder / f"{name}.png").stat().st_size < _MOST_BYTES


@pytest.mark.parametrize("name", ["sms", "overtake"])
def test_same_figures_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keep(tmp_path, name, FIGURES[name])
    (one,) = draw([name], tmp_path, tmp_path / "one")
    # Nor does it matter how somebody likes their own plots.
    monkeypatch.setitem(mpl.rcParams, "font.size", 22)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "red")
    (two,) = draw([name], tmp_path, tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()
    assert mpl.rcParams["font.size"] == 22


def test_other_figures_give_another_plot(tmp_path: Path) -> None:
    other = copy.deepcopy(FIGURES["sms"])
    other["per_second"]["ours"] = [9_000.0, 9_100.0, 9_200.0]
    keep(tmp_path / "a", "sms", FIGURES["sms"])
    keep(tmp_path / "b", "sms", other)
    (one,), (two,) = (draw(["sms"], tmp_path / n, tmp_path / n / "images") for n in "ab")
    assert one.read_bytes() != two.read_bytes()


def test_figures_of_older_runs_can_be_drawn(tmp_path: Path) -> None:
    old = copy.deepcopy({name: FIGURES[name] for name in ("overtake", "shaping")})
    for passages in old["overtake"]["ways"].values():
        for passage in passages:
            del passage["every_twentieth_s"]
    for row in old["shaping"]["ways"]:
        del row["each_second"]
    for name, found in old.items():
        keep(tmp_path, name, found)
    assert all(path.is_file() for path in draw(list(old), tmp_path, tmp_path / "images"))


def test_figures_of_a_new_run_can_be_drawn(kept: Path, tmp_path: Path) -> None:
    report = verdicts.run(Options(quick=True, say=lambda _: None))
    keep(kept, "verdicts", report.to_json())
    done = plot("--plot", str(tmp_path / "images"), "--json", "verdicts")
    assert done.exception is None, done.output
    assert json.loads(done.stdout) == {"plots": [str(tmp_path / "images" / "verdicts.png")]}


def test_missing_figures_are_named_with_their_bench(kept: Path, tmp_path: Path) -> None:
    keep(kept, "sms", FIGURES["sms"])
    done = plot("--plot", str(tmp_path / "images"), "sms", "receipts", "scale")
    assert isinstance(done.exception, NotFound)
    assert done.exception.exit_code == 2
    assert f"no figures of receipts, scale in {kept}." in done.exception.detail
    assert done.exception.remedy == "Measure first: python -m lab bench receipts scale."
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"sms": 1}', '{"sms": {}, "quick": false, "machine": {}, "commit": "", "at": ""}'],
)
def test_file_of_another_bench_is_refused(kept: Path, text: str) -> None:
    kept.mkdir()
    (kept / "sms.json").write_text(text)
    done = plot("--plot", str(kept / "images"), "sms")
    assert isinstance(done.exception, BadInput)
    assert "sms.json does not hold the figures of sms" in done.exception.detail
    assert done.exception.remedy == "Measure again: python -m lab bench sms."


def test_folder_that_cannot_be_created_is_named(kept: Path, tmp_path: Path) -> None:
    keep(kept, "sms", FIGURES["sms"])
    (tmp_path / "file").touch()
    done = plot("--plot", str(tmp_path / "file" / "images"), "sms")
    assert isinstance(done.exception, BadInput)
    assert str(tmp_path / "file" / "images") in done.exception.detail


def test_measuring_and_drawing_exclude_each_other(tmp_path: Path) -> None:
    done = plot("--plot", str(tmp_path), "--quick", "sms")
    assert isinstance(done.exception, BadInput)

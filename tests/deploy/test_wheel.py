"""The package as `pip install .` makes it, used from another folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the wheel, unpacked as pip unpacks them."""
    folder = tmp_path_factory.mktemp("wheel")
    source, built, unpacked = folder / "source", folder / "built", folder / "site"
    source.mkdir()
    # What the Dockerfile copies, so that an image has it too.
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    for words in (line.split()[1:-1] for line in lines if line.startswith("COPY ")):
        for name in words:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, symlinks=True)
            elif (ROOT / name).exists():
                shutil.copy(ROOT / name, source / name)
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(built)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(unpacked)
    return unpacked


def run(site: Path, folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(site), **env},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_examples_come_along(site: Path, tmp_path: Path, database_url: str) -> None:
    there = run(site, tmp_path, "-c", "import alerting; print(alerting.__file__)").stdout
    assert there.startswith(str(site)), "the checkout would have them anyway"
    done = run(
        site, tmp_path, "-m", "alerting.cli", "citizens", "generate", "50",
        DATABASE_URL=database_url,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (ROOT / "examples").iterdir()}
    assert {path.name for path in (site / "alerting" / "example_files").iterdir()} == names


def test_it_has_every_file_of_ours_that_is_no_code(site: Path) -> None:
    """What `package-data` forgets is missed only where it is installed."""
    ours = {
        path.relative_to(ROOT)
        for path in (ROOT / "alerting").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert ours
    assert {path for path in ours if not (site / path).is_file()} == set()


def test_the_workers_entry_point_is_in_it(site: Path) -> None:
    assert (site / "worker.py").is_file()

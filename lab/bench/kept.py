"""The figures of each bench's last run, one JSON file a bench, with the machine and the code."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alerting.errors import BadInput, NotFound


@dataclass(frozen=True, slots=True)
class Kept:
    """The figures of a bench's last run, with machine and commit.

    Attributes:
        found: As `Report.to_json` has it.
        at: ISO 8601.
    """

    name: str
    found: dict[str, Any]
    quick: bool
    machine: dict[str, Any]
    commit: str
    at: str


def write(folder: Path, name: str, found: dict[str, Any], *, quick: bool) -> Path:
    """Write a bench's figures to `NAME.json`, over those of its last run."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: found, "quick": quick, **where()}, indent=1) + "\n")
    return path


def read(folder: Path, names: Sequence[str]) -> list[Kept]:
    """The figures of these benches.

    Raises NotFound where one of them has none, BadInput where a file is no file of figures; both
    name the command that makes it.
    """
    missing = [name for name in names if not (folder / f"{name}.json").is_file()]
    if missing:
        raise NotFound(
            f"There are no figures of {', '.join(missing)} in {folder}.",
            remedy=f"Measure first: python -m lab bench {' '.join(missing)}.",
        )
    return [_read(folder / f"{name}.json", name) for name in names]


def _read(path: Path, name: str) -> Kept:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Kept(
            name,
            dict(found[name]),
            bool(found["quick"]),
            dict(found["machine"]),
            str(found["commit"]),
            str(found["at"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise unfit(path, name) from e


def unfit(path: Path, name: str) -> BadInput:
    """The error for a file without what this version writes."""
    return BadInput(
        f"{path} does not hold the figures of {name} as this version keeps them.",
        remedy=f"Measure again: python -m lab bench {name}.",
    )


def where() -> dict[str, object]:
    """The machine, and the commit where the code is a repository."""
    git = shutil.which("git")
    root = Path(__file__).parents[2]
    commit = ""
    if git is not None and (root / ".git").exists():
        done = subprocess.run(
            [git, "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        )
        commit = done.stdout.strip()
    return {
        "machine": {
            "cpus": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "version": importlib.metadata.version("alerting"),
        "commit": commit,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }

"""The engines that run over a folder, as every other process finds them."""

from __future__ import annotations

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Found:
    """Where running engines are."""

    database_url: str
    redis_url: str
    pid: int


def find(var: Path) -> Found | None:
    """The engines that run on `var`, or None; an address left by a killed owner does not count."""
    run = var / "run"
    try:
        found = Found(**json.loads((run / "engines.json").read_text(encoding="utf-8")))
        with (run / "lock").open("a+", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return found
    except (OSError, ValueError, TypeError):
        return None
    # The lock is free, so whoever wrote the address is gone.
    return None

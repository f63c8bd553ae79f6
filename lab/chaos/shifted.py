"""Run a Python module whose clock is wrong: `python -m lab.chaos.shifted FILE -m celery …`.

FILE holds by how many seconds the clock is put forward and may change at any moment: a step. Only
this process and its children are wrong; the machine, PostgreSQL and Redis keep the right time, as
when one machine of several has lost its time server. What asks the system directly, such as a
library written in C, keeps the right time too.
"""

from __future__ import annotations

import runpy
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alerting.clock import SystemClock


class Shift:
    """Seconds read from a file, looked at no more than ten times a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = 0.0
        self._s = 0.0

    def s(self) -> float:
        if time.monotonic() - self._read_at > 0.1:
            self._read_at = time.monotonic()
            try:
                self._s = float(self._path.read_text(encoding="ascii"))
            except (OSError, ValueError):
                self._s = 0.0
        return self._s


def install(shift: Shift) -> None:
    """Shift this process's clocks from now on; `time.monotonic` never is."""
    right = time.time

    def now(_: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=shift.s())

    SystemClock.now = now  # type: ignore[method-assign, assignment]
    time.time = lambda: right() + shift.s()


if __name__ == "__main__":
    file, flag, module, *words = sys.argv[1:]
    if flag != "-m":
        sys.exit("lab.chaos.shifted: say FILE -m MODULE …")
    install(Shift(Path(file)))
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)

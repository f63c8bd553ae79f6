"""A process whose clock is wrong reads it from a file, step by step."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[3]
_TELL = """
import sys, time
from alerting.clock import SystemClock
for line in sys.stdin:
    print(SystemClock().now().timestamp(), time.time(), sys.argv[1], flush=True)
"""


def test_shifted_clocks_follow_the_file(tmp_path: Path) -> None:
    (tmp_path / "tell.py").write_text(_TELL)
    by = tmp_path / "by"
    command = [sys.executable, "-m", "lab.chaos.shifted", str(by), "-m", "tell", "a-word"]
    # The laboratory stands beside the package and is not installed.
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def reported() -> tuple[float, float, str]:
            process.stdin.write("now\n")
            process.stdin.flush()
            ours, theirs, word = process.stdout.readline().split()
            right = datetime.now(UTC).timestamp()
            return float(ours) - right, float(theirs) - right, word

        ours, theirs, word = reported()
        assert (abs(ours) < 1, abs(theirs) < 1, word) == (True, True, "a-word")
        by.write_text("3600")
        stepped(reported, 3600)
        by.write_text("-120")
        stepped(reported, -120)
        process.stdin.close()
        assert process.wait(60) == 0


def stepped(reported, by_s: float) -> None:
    """Both clocks are put forward by so much within a second."""
    end = time.monotonic() + 60
    while True:
        ours, theirs, _ = reported()
        if abs(ours - by_s) < 2 and abs(theirs - by_s) < 2:
            return
        assert time.monotonic() < end, (ours, theirs)

"""What a worker's child inherits is left out of its garbage collections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_CHILD = """
import gc, json, os
import worker
from celery import signals

signals.worker_before_create_process.send(sender=None)
pid = os.fork()
if pid:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(json.dumps([gc.get_freeze_count(), len(gc.get_objects())]), flush=True)
os._exit(0)
"""


def test_child_collects_only_its_own_objects() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        env=os.environ | {"BROKER_URL": "redis://127.0.0.1:9"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    frozen, looked_through = json.loads(done.stdout)
    assert frozen > 100_000
    assert looked_through < frozen / 20

"""Child processes that never outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(sig: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """What a child runs before exec so that it is signalled when its parent dies, even by kill -9.

    Linux only; elsewhere None, and an orphan is found by its pid file at the next start.
    """
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def run() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(sig))
        # The parent may have died between fork and prctl.
        if os.getppid() != parent:
            os.kill(os.getpid(), sig)

    return run


def start(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_death: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a server as our child, out of the terminal's reach, with its output in `log`."""
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            # Ctrl-C goes to the supervisor, which ends its children in order.
            start_new_session=True,
            preexec_fn=end_with_parent(on_death),
        )


def stop(process: subprocess.Popen[bytes], sig: signal.Signals, timeout_s: float) -> None:
    """End a child by `sig`, by SIGKILL when it takes longer than `timeout_s`."""
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()

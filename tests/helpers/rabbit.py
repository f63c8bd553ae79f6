"""A RabbitMQ node of the tests' own, where Debian's rabbitmq-server is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kombu import Connection

from alerting.embedded import child
from alerting.embedded.wait import until
from alerting.errors import Unavailable

#: Debian's wrapper on PATH insists on the system's own user and folders; what it calls does not.
_HOMES = ("/usr/lib/rabbitmq/lib", "/usr/lib/rabbitmq", "/opt/rabbitmq")


def server() -> Path | None:
    """The server's own program, None where it is not installed."""
    if shutil.which("erl") is None or shutil.which("epmd") is None:
        return None
    found = (p for home in _HOMES for p in sorted(Path(home).glob("**/sbin/rabbitmq-server")))
    return next(found, None)


@dataclass
class Node:
    """A running node on loopback."""

    url: str
    _folder: Path
    _environment: dict[str, str]
    _process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        child.kill(self._process)

    def start_again(self) -> None:
        """Over the same data and on the same port; returns when it answers."""
        self._process = _launch(self._folder, self._environment, self.url)

    def stop(self) -> None:
        child.stop(self._process, signal.SIGTERM, 20)

    def connection(self) -> Connection:
        return Connection(self.url, connect_timeout=5)


@contextmanager
def node(folder: Path) -> Iterator[Node]:
    """Run one over `folder` while the block lasts, with everything it needs below it.

    Its name service too is its own: a node otherwise leaves a daemon behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names, port = _free_port(), _free_port()
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
    }
    (folder / "enabled_plugins").write_text("[].\n", encoding="ascii")
    settings = "disk_free_limit.absolute = 50MB\n"
    (folder / "rabbitmq.conf").write_text(settings, encoding="ascii")
    daemon = child.start(
        ["epmd", "-port", str(names), "-address", "127.0.0.1"], log=folder / "epmd.log"
    )
    try:
        until(lambda: _listens(names), timeout_s=60, what="epmd to start")
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        running = Node(url, folder, environment, _launch(folder, environment, url))
        try:
            yield running
        finally:
            running.stop()
    finally:
        child.stop(daemon, signal.SIGKILL, 5)


def _launch(folder: Path, environment: dict[str, str], url: str) -> subprocess.Popen[bytes]:
    program = server()
    assert program is not None
    process = child.start([str(program)], log=folder / "rabbitmq.log", env=environment)
    try:
        until(lambda: _answers(process, url, folder), timeout_s=60, what="RabbitMQ", period_s=0.1)
    except BaseException:
        child.stop(process, signal.SIGTERM, 10)
        raise
    return process


def _answers(process: subprocess.Popen[bytes], url: str, folder: Path) -> bool:
    if process.poll() is not None:
        words = (folder / "rabbitmq.log").read_text(errors="replace").strip().splitlines()[-5:]
        raise Unavailable(f"RabbitMQ ended at once: {' / '.join(words)}")
    if not _listens(int(url.rpartition(":")[2].rstrip("/"))):
        return False
    try:
        with Connection(url, connect_timeout=5) as connection:
            connection.connect()
    except OSError:
        return False
    return True


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])

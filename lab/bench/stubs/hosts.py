"""Hosts on one machine: network namespaces, each with an address, a home and a folder of its own.

What runs on one of them shares nothing with the others but PostgreSQL and Redis, which it reaches
over its own wire. Where namespaces are not allowed the hosts are process groups on loopback, which
still share no folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis as redis_client

from alerting.embedded import child, engines
from alerting.embedded.redis import binary
from alerting.embedded.supervisor import Spec
from alerting.embedded.wait import until
from alerting.errors import Unavailable
from alerting.settings import Settings
from lab.bench.stubs.ports import free_port

#: Addresses set aside for measurements (RFC 2544); the third number is the host's.
_NET = "198.18"

#: Everybody's own: nobody else is on their wire.
_PORT, _API_PORT = 5432, 8080


@dataclass(frozen=True, slots=True)
class Host:
    """gateway: where it finds what all share. port: of its API, on its own loopback. namespace: the
    process that holds it; None where it is only a process group."""

    no: int
    folder: Path
    gateway: str
    port: int
    namespace: int | None

    @property
    def inside(self) -> tuple[str, ...]:
        """What a command begins with to run there."""
        if self.namespace is None:
            return ()
        return ("nsenter", f"--net=/proc/{self.namespace}/ns/net", "--")

    def runs(self, name: str, command: Sequence[str], settings: Settings) -> Spec:
        """A process on this host, with its own home, working folder and `var`."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        here = settings.model_copy(update={"var": self.folder / "var"})
        env = here.to_environment() | {"HOME": str(home), "TMPDIR": str(home)}
        wrapped = (*self.inside, "env", f"--chdir={home}", *command)
        return Spec(f"{name}-{self.no}", wrapped, env, stop_s=40)

    def workers(self, lanes: str, settings: Settings) -> Spec:
        command = (
            sys.executable, "-m", "celery", "-A", "worker", "worker", "-Q", lanes,
            "-c", str(settings.workers), "-n", f"host{self.no}@%h", "-l", settings.log_level,
            "--without-gossip", "--without-mingle",
        )  # fmt: skip
        return self.runs("workers", command, settings)

    def alerting(self, name: str, settings: Settings) -> Spec:
        """`alerting serve` or `alerting scheduler`."""
        return self.runs(name, (sys.executable, "-m", "alerting.cli", name), settings)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the hosts share, as this process reaches it, and how a host does."""

    settings: Settings
    _database: str
    _redis_port: int

    def seen_from(self, host: Host) -> Settings:
        redis_url = f"redis://{host.gateway}:{self._redis_port}/0"
        database_url = self._database
        if host.namespace is not None:
            database_url = f"postgresql://alerting@{host.gateway}:{_PORT}/alerting"
        own = {
            "database_url": database_url,
            "redis_url": redis_url,
            "broker_url": redis_url,
            "twilio_base_url": self.settings.twilio_base_url.replace("127.0.0.1", host.gateway),
            "port": host.port,
            # Hosts of their own may not name an address without TLS, though nobody calls it.
            "public_url": self.settings.public_url.replace("http://", "https://"),
        }
        return self.settings.model_copy(update=own)


@contextmanager
def hosts(count: int, folder: Path) -> Iterator[list[Host]]:
    """`count` hosts while the block lasts; their namespaces end with it, or with this process."""
    allowed = _allowed()
    with ExitStack() as stack:
        found = []
        for no in range(count):
            own = folder / f"host{no}"
            own.mkdir(parents=True)
            holder = stack.enter_context(_namespace(own)) if allowed else None
            if holder is None:
                host = Host(no, own, "127.0.0.1", free_port(), None)
            else:
                gateway, address = f"{_NET}.{no}.1", f"{_NET}.{no}.2"
                stack.enter_context(_wired(holder, gateway, address))
                host = Host(no, own, gateway, _API_PORT, holder)
            found.append(host)
        yield found


@contextmanager
def shared(folder: Path, everywhere: Sequence[Host], settings: Settings) -> Iterator[Shared]:
    """PostgreSQL and Redis, reachable from these hosts and by nobody else."""
    gateways = [h.gateway for h in everywhere if h.namespace is not None]
    folder.mkdir(parents=True, exist_ok=True)
    config = None
    if gateways:
        rules = folder / "pg_hba.conf"
        rules.write_text(f"local all all trust\nhost all all {_NET}.0.0/16 trust\n", "ascii")
        config = {"listen_addresses": ",".join(gateways), "hba_file": str(rules.resolve())}
    with (
        engines.start(folder / "var", with_redis=False, postgres_config=config) as running,
        _redis(folder / "redis", gateways) as port,
    ):
        redis_url = f"redis://127.0.0.1:{port}/0"
        urls = {"database_url": running.database_url, "redis_url": redis_url}
        own = settings.model_copy(update={**urls, "broker_url": redis_url, "var": folder / "var"})
        yield Shared(own, running.database_url, port)


def _allowed() -> bool:
    """True where namespaces and cables can be made, tried out in a namespace of its own."""
    if os.geteuid() != 0 or not all(shutil.which(p) for p in ("ip", "nsenter", "unshare")):
        return False
    command = ["unshare", "--net", "ip", "link", "add", "try0", "type", "veth"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def _namespace(folder: Path) -> Iterator[int]:
    holder = child.start(
        ["unshare", "--net", "sleep", "infinity"], log=folder / "host.log", on_death=signal.SIGKILL
    )
    try:
        mine, its = Path("/proc/self/ns/net"), Path(f"/proc/{holder.pid}/ns/net")
        until(
            lambda: its.readlink() != mine.readlink(),
            timeout_s=10,
            what="a network namespace",
        )
        yield holder.pid
    finally:
        child.stop(holder, signal.SIGKILL, 5)


@contextmanager
def _wired(holder: int, gateway: str, address: str) -> Iterator[None]:
    """A cable between this machine and a namespace. It would go with the namespace, but late."""
    name, inside = f"alr{holder}", ["nsenter", f"--net=/proc/{holder}/ns/net"]
    _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(holder))
    try:
        _ip("address", "add", f"{gateway}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("address", "add", f"{address}/30", "dev", "eth0", prefix=inside)
        _ip("link", "set", "eth0", "up", prefix=inside)
        _ip("link", "set", "lo", "up", prefix=inside)
        yield
    finally:
        _ip("link", "delete", name)


def _ip(*words: str, prefix: Sequence[str] = ()) -> None:
    command = [*prefix, "ip", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


@contextmanager
def _redis(folder: Path, gateways: Sequence[str]) -> Iterator[int]:
    """As `alerting up` starts it, listening on the wires too; yields its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    options = {
        "port": str(port),
        "protected-mode": "no",
        "dir": str(folder.resolve()),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    words = [w for name, value in options.items() for w in (f"--{name}", value)]
    command = [str(binary()), *words, "--bind", "127.0.0.1", *gateways]
    process = child.start(command, log=folder / "redis.log")
    try:
        with redis_client.Redis(port=port) as client:
            until(lambda: _pong(client), timeout_s=30, what="Redis to start")
        yield port
    finally:
        child.stop(process, signal.SIGTERM, 10)


def _pong(client: redis_client.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis_client.RedisError:
        return False

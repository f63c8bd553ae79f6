"""A stand-in for Twilio that notes when it took each message: nginx, which answers 201 at once.

Its log has the instant of each request by its own clock, to the millisecond; nothing of ours
touches it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from alerting.embedded import child
from alerting.embedded.wait import until
from alerting.errors import Unavailable, WorkFailed

_ANSWER = (
    '{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null,'
    '"error_message":null,"num_segments":"1"}'
)

# Only a location that passes the request on reads its body; hence two servers.
_CONF = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_body_buffer_size 32k;
  client_body_in_single_buffer on;
  keepalive_requests 100000000;
  log_format clocked escape=none '$msec $request_body';
  access_log off;
  upstream answer {{
    server unix:{folder}/answer.sock;
    keepalive 256;
    keepalive_requests 100000000;
  }}
  server {{
    listen unix:{folder}/answer.sock;
    location / {{ default_type application/json; return 201 '{answer}'; }}
  }}
  server {{
    {listen}
    access_log {folder}/taken.log clocked buffer=64k flush=200ms;
    location / {{
      proxy_pass http://answer;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass_request_headers off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """One message: when the provider had taken it, and the digits behind +999 it went to."""

    at_s: float
    number: int


class Clocked:
    """A running stand-in. `port` is the same on every address it listens on."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self._read = 0
        self._lines = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self) -> int:
        """How many messages it has taken, as far as its log has been written."""
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._read)
                while block := log.read(1 << 20):
                    self._read += len(block)
                    self._lines += block.count(b"\n")
        return self._lines

    def taken(self) -> list[Taken]:
        """Every message in the order of its instants. Raises WorkFailed for a line that is none."""
        found = []
        if self._log.exists():
            with self._log.open(encoding="ascii", errors="replace") as lines:
                found = [_taken(line) for line in lines if line.strip()]
        return sorted(found, key=lambda t: t.at_s)

    def texts(self) -> set[str]:
        """Every wording it was sent."""
        with self._log.open(encoding="ascii", errors="replace") as lines:
            return {parse_qs(line.partition(" ")[2].strip())["Body"][0] for line in lines}


def _taken(line: str) -> Taken:
    at, _, body = line.strip().partition(" ")
    to = parse_qs(body).get("To", [""])[0]
    if not to.startswith("+999"):
        raise WorkFailed(f"The provider was sent a message to {to or 'nobody'}.")
    return Taken(float(at), int(to[4:]))


@contextmanager
def clocked(folder: Path, hosts: Sequence[str] = ("127.0.0.1",)) -> Iterator[Clocked]:
    """Run it over `folder` while the block lasts. Raises Unavailable where there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise Unavailable(
            "There is no nginx to stand in for the provider.", remedy="Run `make bench-deps`."
        )
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "nginx.conf"
    # Its worker would become nobody, who may not enter a temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    listen = " ".join(f"listen {host}:{port};" for host in hosts)
    config.write_text(
        _CONF.format(folder=folder.resolve(), listen=listen, answer=_ANSWER, user=user),
        encoding="ascii",
    )
    process = child.start(
        [program, "-p", str(folder.resolve()), "-c", str(config.resolve())],
        log=folder / "nginx.log",
        on_death=signal.SIGTERM,
    )
    try:
        until(lambda: _listens(port), timeout_s=10, what="nginx to start")
        yield Clocked(port, folder / "taken.log")
    finally:
        child.stop(process, signal.SIGQUIT, 5)


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])

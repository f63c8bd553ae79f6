"""A stand-in for Twilio that is no limit: nginx, which answers 201 and logs what it was sent."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from alerting.embedded import child
from alerting.embedded.wait import until
from alerting.errors import Unavailable

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
  log_format body escape=none '$request_body';
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
    listen 127.0.0.1:{port};
    access_log {folder}/bodies.log body buffer=256k flush=1s;
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
class StandIn:
    """Where it listens, and what it has taken."""

    url: str
    log: Path

    def taken(self) -> list[str]:
        """The number each message went to, in order, as the log has it."""
        if not self.log.exists():
            return []
        with self.log.open(encoding="ascii", errors="replace") as lines:
            return [parse_qs(line.strip()).get("To", ["?"])[0] for line in lines if line.strip()]


@contextmanager
def twilio(folder: Path) -> Iterator[StandIn]:
    """Run it over `folder` while the block lasts. Raises Unavailable where there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise Unavailable(
            "There is no nginx to stand in for the provider.", remedy="Run `make bench-deps`."
        )
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    config = folder / "nginx.conf"
    # Its worker would become nobody, who may not enter a temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        _CONF.format(folder=folder.resolve(), port=port, answer=_ANSWER, user=user),
        encoding="ascii",
    )
    process = child.start(
        [program, "-p", str(folder.resolve()), "-c", str(config.resolve())],
        log=folder / "nginx.log",
        on_death=signal.SIGTERM,
    )
    try:
        until(lambda: _listens(port), timeout_s=10, what="nginx to start")
        yield StandIn(f"http://127.0.0.1:{port}", folder / "bodies.log")
    finally:
        child.stop(process, signal.SIGQUIT, 5)


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])

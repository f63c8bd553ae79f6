"""nginx while a block lasts: a stub of a provider that is never the bottleneck."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alerting.embedded import child
from alerting.embedded.wait import until
from alerting.errors import Unavailable
from lab.bench.stubs.ports import listens

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
  keepalive_requests 100000000;
  access_log off;
{http}
}}
"""


@contextmanager
def serving(folder: Path, port: int, http: str) -> Iterator[None]:
    """Run it with these directives of its `http` block until the block ends; every line it logs is
    in its file by then. Raises Unavailable where there is no nginx, or it does not take `port`."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise Unavailable(
            "There is no nginx for the stub of the provider.", remedy="Run `make bench-deps`."
        )
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    # Its worker would become nobody, who may not enter a temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(_CONF.format(folder=folder.resolve(), user=user, http=http), encoding="ascii")
    process = child.start(
        [program, "-p", str(folder.resolve()), "-c", str(config.resolve())],
        log=folder / "nginx.log",
        on_death=signal.SIGTERM,
    )
    try:
        until(lambda: listens(port), timeout_s=10, what="nginx to start")
        yield
    finally:
        child.stop(process, signal.SIGQUIT, 5)

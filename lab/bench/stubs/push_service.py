"""A stub of a browser's push service, never the bottleneck: nginx, which answers 201 and logs.

It logs the path and the size of every message, and one in a hundred whole, for the bench to read
as the phone would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.bench.stubs.nginx import serving
from lab.bench.stubs.ports import free_port

#: A message to a path with this end is kept whole.
KEPT = "00"

# Only a location that passes the request on has its body to log; the others read and forget it,
# which costs far less.
_HTTP = """
  client_header_buffer_size 4k;
  client_body_buffer_size 32k;
  client_body_in_single_buffer on;
  log_format taken '$request_uri $content_length';
  log_format kept escape=json '{{"path":"$request_uri","authorization":"$http_authorization",'
    '"encoding":"$http_content_encoding","ttl":"$http_ttl","body":"$request_body"}}';
  upstream answer {{
    server unix:{folder}/answer.sock;
    keepalive 64;
  }}
  server {{
    listen unix:{folder}/answer.sock;
    location / {{ return 201; }}
  }}
  server {{
    listen 127.0.0.1:{port};
    add_header Location $request_uri;
    access_log {folder}/taken.log taken buffer=256k flush=1s;
    location / {{
      limit_except POST {{ deny all; }}
      return 201;
    }}
    location ~ "{kept}$" {{
      access_log {folder}/taken.log taken buffer=256k flush=1s;
      access_log {folder}/kept.log kept buffer=256k flush=1s;
      limit_except POST {{ deny all; }}
      proxy_pass http://answer;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass_request_headers off;
    }}
  }}
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """One message: whose subscription it went to, and its length."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Kept:
    """One message as it came."""

    path: str
    authorization: str
    encoding: str
    ttl: str
    body: bytes


@dataclass(frozen=True, slots=True)
class PushService:
    """Where it listens, and what it has taken; its logs are whole once it has ended."""

    url: str
    folder: Path

    def taken(self) -> list[Taken]:
        """Every message, in order."""
        found = []
        for line in _lines(self.folder / "taken.log"):
            path, _, size = line.decode("ascii").strip().partition(" ")
            found.append(Taken(path, int(size) if size.isdigit() else 0))
        return found

    def kept(self) -> list[Kept]:
        """One in a hundred of them, whole."""
        found = []
        for line in _lines(self.folder / "kept.log"):
            # nginx writes bytes from 0x80 on as they are; latin-1 keeps each one a character.
            said = json.loads(line.decode("latin-1"))
            found.append(Kept(**(said | {"body": said["body"].encode("latin-1")})))
        return found


@contextmanager
def push_service(folder: Path) -> Iterator[PushService]:
    """Run it over `folder` while the block lasts. Raises Unavailable where there is no nginx."""
    port = free_port()
    http = _HTTP.format(folder=folder.resolve(), port=port, kept=KEPT)
    with serving(folder, port, http):
        yield PushService(f"http://127.0.0.1:{port}", folder)


def _lines(log: Path) -> Iterator[bytes]:
    if log.exists():
        with log.open("rb") as lines:
            yield from lines

"""A stub of Twilio that is never the bottleneck: nginx, which answers 201 and logs each request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pydantic import SecretStr

from alerting.settings import Settings
from lab.bench.stubs.nginx import serving
from lab.bench.stubs.ports import HOST, free_port

_ANSWER = (
    '{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null,'
    '"error_message":null,"num_segments":"1"}'
)

# Only a location that passes the request on reads its body; hence two servers.
_HTTP = """
  client_body_buffer_size 32k;
  client_body_in_single_buffer on;
  log_format taken escape=none '{entry}';
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
    access_log {log} taken buffer=256k flush=200ms;
    location / {{
      proxy_pass http://answer;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass_request_headers off;
    }}
  }}
"""


@dataclass(frozen=True, slots=True)
class TwilioStub:
    """The address of the stub, and the messages it has taken."""

    url: str
    log: Path

    def taken(self) -> list[str]:
        """The number each message went to, in order, as the log has it."""
        if not self.log.exists():
            return []
        with self.log.open(encoding="ascii", errors="replace") as lines:
            return [parse_qs(line.strip()).get("To", ["?"])[0] for line in lines if line.strip()]


@contextmanager
def twilio(folder: Path) -> Iterator[TwilioStub]:
    """Run it over `folder` while the block lasts. Raises Unavailable where there is no nginx."""
    port, log = free_port(), folder / "bodies.log"
    http = answering(folder, (HOST,), port, log=log, entry="$request_body")
    with serving(folder, port, http):
        yield TwilioStub(f"http://{HOST}:{port}", log)


def answering(folder: Path, hosts: Sequence[str], port: int, *, log: Path, entry: str) -> str:
    """nginx's directives for a Twilio at these addresses that writes `entry` for each message."""
    listen = " ".join(f"listen {host}:{port};" for host in hosts)
    return _HTTP.format(
        folder=folder.resolve(), listen=listen, log=log.resolve(), entry=entry, answer=_ANSWER
    )


def settings_for(url: str, **more: Any) -> Settings:
    """Settings of a system that sends its SMS to a stub at this address."""
    values: dict[str, Any] = {
        "carriers": "real",
        "twilio_base_url": url,
        "twilio_account_sid": "AC" + "0" * 32,
        "twilio_auth_token": SecretStr("x"),
        "twilio_from": "+447700900000",
        "public_url": "http://127.0.0.1:9",
        # nginx sends no receipts, and that must not start another channel.
        "receipt_severe_s": 0,
    }
    return Settings(**values | more)
